//! `Screen`: a terminal in raw mode that shows one frame after another.

use std::io::{self, Stdin, Stdout, Write};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// Shows the second screen, without a cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
/// The reverse.
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// A frame begins in the top left corner. The terminal shows it when it is whole, if it can.
const BEGIN: &str = "\x1b[?2026h\x1b[H";
const END: &str = "\x1b[J\x1b[?2026l";
/// Erases the rest of a line.
const REST: &str = "\x1b[K";
/// The size of a terminal that does not report one.
const DEFAULT_SIZE: (usize, usize) = (24, 80);

/// The terminal. Its drop restores the mode that it had.
pub(super) struct Screen {
    input: Stdin,
    output: Stdout,
    before: Termios,
}

impl Screen {
    pub(super) fn open() -> io::Result<Self> {
        let (input, output) = (io::stdin(), io::stdout());
        let before = tcgetattr(&input)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&input, OptionalActions::Now, &raw)?;
        let mut screen = Self {
            input,
            output,
            before,
        };
        screen.write(ENTER)?;
        Ok(screen)
    }

    /// Returns the number of rows and of columns.
    pub(super) fn size(&self) -> (usize, usize) {
        match tcgetwinsize(&self.output) {
            Ok(size) if size.ws_row > 0 && size.ws_col > 0 => {
                (size.ws_row.into(), size.ws_col.into())
            }
            _ => DEFAULT_SIZE,
        }
    }

    /// Shows lines in one write, so that nothing flickers.
    pub(super) fn draw(&mut self, lines: &[String]) -> io::Result<()> {
        let body = lines.join(&format!("{REST}\r\n"));
        self.write(&format!("{BEGIN}{body}{REST}{END}"))
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        self.output.write_all(text.as_bytes())?;
        self.output.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.write(LEAVE);
        let _ = tcsetattr(&self.input, OptionalActions::Now, &self.before);
    }
}
