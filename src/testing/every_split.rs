//! `every_split`: a handler and all ways to cut its input in pieces.

use std::fmt;
use std::future::Future;
use std::io;

use futures_lite::future::block_on;

use super::pieces;
use crate::connection::Connection;
use crate::escape::OneLine;

/// The longest input that is cut in all ways: 32,768 of them.
const MAX_BYTES_FOR_ALL: usize = 16;

/// Runs a handler once for each way to cut its input in pieces, and compares its answer and its
/// result with those to the whole input. Returns that answer.
///
/// An input of up to 16 bytes is cut in all ways; a longer one at every byte and at every two, so that
/// one of 1,000 bytes is half a million runs. Each read returns one piece, as from a network that
/// delivers them apart.
///
/// # Panics
///
/// If an answer or a result differs. The message has the pieces and both answers.
///
/// # Examples
///
/// ```
/// use futures_lite::AsyncWriteExt;
/// use halves::Connection;
/// use halves::testing::every_split;
///
/// async fn greet(mut client: Connection) -> std::io::Result<()> {
///     while let Some(name) = client.reader.line().await? {
///         client.writer.write_all(&[b"hello ", &*name].concat()).await?;
///     }
///     Ok(())
/// }
///
/// assert_eq!(every_split("Ada\nBob\n", greet), b"hello Ada\nhello Bob\n");
/// ```
pub fn every_split<H, F>(input: impl AsRef<[u8]>, handler: H) -> Vec<u8>
where
    H: Fn(Connection) -> F,
    F: Future<Output = io::Result<()>>,
{
    let input = input.as_ref();
    let whole = Answer::of(&handler, &[input]);
    let places = input.len().saturating_sub(1);
    let check = |cuts: &[usize]| {
        let pieces = cut(input, cuts);
        let answer = Answer::of(&handler, &pieces);
        assert!(
            answer == whole,
            "the answer depends on the pieces of the input.\nto {}: {whole}\nto {}: {answer}",
            text(input),
            pieces
                .iter()
                .map(|piece| text(piece))
                .collect::<Vec<_>>()
                .join(" | ")
        );
    };
    if input.len() <= MAX_BYTES_FOR_ALL {
        for mask in 1..1_u32 << places {
            let cuts = (0..places).filter(|n| mask & 1 << n != 0);
            check(&cuts.map(|n| n + 1).collect::<Vec<_>>());
        }
    } else {
        for first in 1..=places {
            check(&[first]);
            for second in first + 1..=places {
                check(&[first, second]);
            }
        }
    }
    whole.bytes
}

/// The output of a handler, and its result.
#[derive(PartialEq)]
struct Answer {
    bytes: Vec<u8>,
    error: Option<io::ErrorKind>,
}

impl Answer {
    fn of<H, F>(handler: &H, input: &[&[u8]]) -> Self
    where
        H: Fn(Connection) -> F,
        F: Future<Output = io::Result<()>>,
    {
        let (connection, output) = pieces(input);
        let result = block_on(handler(connection));
        Self {
            bytes: output.bytes(),
            error: result.err().map(|error| error.kind()),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text(&self.bytes))?;
        match self.error {
            Some(error) => write!(f, ", then an error: {error}"),
            None => Ok(()),
        }
    }
}

/// Cuts the input before each of these bytes.
fn cut<'a>(input: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let starts = std::iter::once(0).chain(cuts.iter().copied());
    let ends = cuts.iter().copied().chain([input.len()]);
    starts
        .zip(ends)
        .map(|(start, end)| &input[start..end])
        .collect()
}

fn text(bytes: &[u8]) -> String {
    format!("\"{}\"", OneLine(bytes.escape_ascii()))
}
