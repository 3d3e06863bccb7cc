//! A protocol that begins in clear text and switches to TLS, as in SMTP and IMAP, with its test in
//! memory: `cargo test --example starttls`

use std::io::{self, Write};

use futures_lite::{AsyncRead, AsyncWrite, AsyncWriteExt, future};
use halves::listener::memory;
use halves::tls::{Acceptor, ClientSettings, Connector, ServerSettings};
use halves::{Connection, Reader, Writer};

/// Answers each line in capital letters. After the line STARTTLS, goes on over TLS.
async fn handler(mut c: Connection, tls: Acceptor) -> io::Result<()> {
    while let Some(line) = c.reader.line().await? {
        if line == b"STARTTLS\n" {
            c.writer.write_all(b"go ahead\n").await?;
            // Bytes that were read ahead, such as the beginning of the handshake, are not lost.
            let c = tls.accept(c).await?;
            return answer(c.reader, c.writer).await;
        }
        c.writer.write_all(&line.to_ascii_uppercase()).await?;
    }
    Ok(())
}

async fn answer<R, W>(mut reader: Reader<R>, mut writer: Writer<W>) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    while let Some(line) = reader.line().await? {
        writer.write_all(&line.to_ascii_uppercase()).await?;
    }
    Ok(())
}

/// Sends a line, switches to TLS, sends another one, and returns both answers.
async fn ask(client: memory::MemoryConnection, tls: Connector) -> io::Result<[Vec<u8>; 2]> {
    let mut c = client;
    c.writer.write_all(b"clear\nSTARTTLS\n").await?;
    let clear = c.reader.line().await?.unwrap_or_default();
    assert_eq!(c.reader.line().await?.as_deref(), Some(&b"go ahead\n"[..]));
    let mut c = tls.handshake(c, "localhost").await?;
    c.writer.write_all(b"secret\n").await?;
    let secret = c.reader.line().await?.unwrap_or_default();
    c.writer.close().await?;
    Ok([clear, secret])
}

/// Both ends with a new certificate.
fn ends() -> io::Result<(Acceptor, Connector)> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
    let made = made.map_err(io::Error::other)?;
    let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let server = ServerSettings::new().certificate_pem(&cert, key).load()?;
    Ok((server, ClientSettings::new().ca_pem(cert).load()?))
}

fn answers() -> io::Result<[Vec<u8>; 2]> {
    let (server, client) = ends()?;
    let (near, far) = memory::pair(1024);
    let both = future::try_zip(ask(near, client), handler(far.erase(), server));
    future::block_on(both).map(|(answers, ())| answers)
}

fn main() -> io::Result<()> {
    for answer in answers()? {
        io::stdout().write_all(&answer)?;
    }
    Ok(())
}

#[test]
fn lines_are_answered_before_and_after_the_switch() {
    assert_eq!(
        answers().expect("no error"),
        [b"CLEAR\n".to_vec(), b"SECRET\n".to_vec()]
    );
}
