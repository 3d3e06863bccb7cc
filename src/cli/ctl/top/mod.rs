//! `halves ctl ADDRESS top`: statistics and connections, again and again, on a terminal or as plain
//! lines.

mod frame;
mod keys;
mod screen;

use std::io::{self, IsTerminal};

use async_signal::Signal;
use futures_lite::future;
use halves::Signals;
use halves::connection::{AnyRead, Reader};
use halves::listener::stdio;

use super::client::Client;
use super::{no_answer, print};
use crate::cli::args::Ctl;
use frame::{Look, View};
use keys::{Key, Keys};
use screen::Screen;

/// The connections of a look without a terminal.
const PLAIN_ROWS: usize = 20;

/// The event that `top` waits for.
enum Next {
    Answer(Option<Vec<String>>),
    Key(Key),
    Resized,
    Quit,
}

/// Shows the server until the user quits or the server ends.
pub(super) async fn run(ctl: &Ctl) -> io::Result<()> {
    let mut client = Client::connect(&ctl.address).await?;
    let interval = ctl.interval.as_micros();
    client.send(&format!("watch {interval}us")).await?;
    let first = client.answer_in_time().await?.ok_or_else(no_answer)?;
    if let Some(problem) = super::print::problem(&first) {
        return Err(io::Error::other(problem));
    }
    let view = View::new(ctl.sort);
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        on_terminal(client, first, view).await
    } else {
        in_lines(client, first, view).await
    }
}

async fn in_lines(mut client: Client, first: Vec<String>, view: View) -> io::Result<()> {
    let (mut answer, mut last) = (Some(first), None);
    while let Some(lines) = answer {
        let look = Look::new(&lines, last.as_ref())?;
        print(&view.plain(&look, PLAIN_ROWS))?;
        last = Some(look);
        answer = client.answer().await?;
    }
    Ok(())
}

async fn on_terminal(mut client: Client, first: Vec<String>, mut view: View) -> io::Result<()> {
    let mut signals = Signals::catch(&[Signal::Winch, Signal::Int, Signal::Term, Signal::Hup])?;
    // The writer is held, too: its drop would end standard output.
    let terminal = stdio()?;
    let mut input: Reader<AnyRead> = terminal.reader;
    let _output = terminal.writer;
    let mut keys = Keys::default();
    let mut screen = Screen::open()?;
    let mut look = Look::new(&first, None)?;
    loop {
        let (rows, columns) = screen.size();
        screen.draw(&view.frame(&look, rows, columns))?;
        match next(&mut client, &mut keys, &mut input, &mut signals).await? {
            Next::Answer(Some(lines)) => look = Look::new(&lines, Some(&look))?,
            Next::Answer(None) => break,
            Next::Key(key) => view.press(key, look.connections()),
            Next::Resized => {}
            Next::Quit => return Ok(()),
        }
    }
    drop(screen);
    print("halves: the server has ended\n")
}

async fn next(
    client: &mut Client,
    keys: &mut Keys,
    input: &mut Reader<AnyRead>,
    signals: &mut Signals,
) -> io::Result<Next> {
    let answer = async { client.answer().await.map(Next::Answer) };
    let key = async {
        match keys.next(input).await? {
            None | Some(Key::Quit) => Ok(Next::Quit),
            Some(key) => Ok(Next::Key(key)),
        }
    };
    let signal = async {
        match signals.next().await? {
            Signal::Winch => Ok(Next::Resized),
            _ => Ok(Next::Quit),
        }
    };
    future::or(key, future::or(signal, answer)).await
}
