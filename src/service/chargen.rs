//! Character Generator (RFC 864).

use std::future::pending;
use std::io;

use futures_lite::{AsyncRead, AsyncWrite, AsyncWriteExt, future};

use crate::connection::{Reader, Writer, is_gone};

/// The printable characters of ASCII, which the pattern rotates.
const FIRST: u8 = b' ';
const CHARACTERS: usize = 95;
/// The characters of a line, without CRLF.
const LINE_CHARACTERS: usize = 72;
const LINE_BYTES: usize = LINE_CHARACTERS + 2;

/// The whole pattern: a line for each first character.
static PATTERN: [u8; CHARACTERS * LINE_BYTES] = pattern();

/// Sends lines of characters until the client leaves or the server drains; then closes (RFC 864).
/// Received bytes are dropped.
///
/// Each line has 72 of the 95 printable characters of ASCII, and begins one character later than the
/// line before. A client that only ends its half gets more lines.
///
/// # Errors
///
/// Returns the errors of the halves, except those of a client that leaves.
///
/// # Examples
///
/// ```
/// use futures_lite::{AsyncReadExt, future};
/// use halves::listener::memory;
/// use halves::service::chargen;
///
/// # smol::block_on(async {
/// let (mut client, server) = memory::pair(64);
/// let reads = async {
///     let mut line = [0; 74];
///     client.reader.read_exact(&mut line).await?;
///     assert_eq!(&line[..5], b" !\"#$");
///     drop(client);
///     std::io::Result::Ok(())
/// };
/// future::try_zip(reads, chargen(server.reader, server.writer)).await?;
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub async fn chargen<R, W>(mut reader: Reader<R>, mut writer: Writer<W>) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let shutdown = writer.peer().shutdown();
    let drained = async {
        shutdown.requested().await;
        Ok(())
    };
    let received = async {
        while !reader.read_chunk().await?.is_empty() {}
        pending().await
    };
    let sent = async {
        loop {
            writer.write_all(&PATTERN).await?;
        }
    };
    let ended = future::or(drained, future::or(received, sent)).await;
    unless_left(ended)?;
    unless_left(writer.close().await)
}

/// Returns an error, unless it means that the client has left.
fn unless_left(ended: io::Result<()>) -> io::Result<()> {
    match ended {
        Err(error) if is_gone(&error) => Ok(()),
        ended => ended,
    }
}

/// All values of the cast are below [`CHARACTERS`].
#[allow(clippy::cast_possible_truncation)]
const fn pattern() -> [u8; CHARACTERS * LINE_BYTES] {
    let mut bytes = [0; CHARACTERS * LINE_BYTES];
    let mut n = 0;
    while n < bytes.len() {
        let (line, column) = (n / LINE_BYTES, n % LINE_BYTES);
        bytes[n] = match column {
            LINE_CHARACTERS => b'\r',
            column if column > LINE_CHARACTERS => b'\n',
            _ => FIRST + ((line + column) % CHARACTERS) as u8,
        };
        n += 1;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_begins_one_character_later() {
        let lines: Vec<_> = PATTERN.chunks(LINE_BYTES).collect();
        assert_eq!(lines.len(), 95);
        // From the example in RFC 864.
        let first =
            "!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefgh\r\n";
        assert_eq!(lines[1], first.as_bytes());
        for pair in lines.windows(2) {
            assert_eq!(pair[0][1..72], pair[1][..71]);
        }
        assert!(lines.iter().all(|line| line.ends_with(b"\r\n")));
    }
}
