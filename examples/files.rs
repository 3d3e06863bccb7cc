//! From one file to another: `cargo run --example files -- README.md /tmp/reply`

use std::io::{self, Write};

use halves::listener::files;
use halves::service::upper;
use halves::{Connection, Executor, Once, serve};

fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let [_, request, reply] = &args[..] else {
        return Err(io::Error::other("two files are needed: REQUEST REPLY"));
    };
    let ex = Executor::new();
    let report = ex.block_on(async {
        let listener = Once::new(files(request, reply).await?);
        let handler = async |Connection { reader, writer, .. }| upper(reader, writer).await;
        serve(&ex, listener, handler).await
    })?;
    writeln!(io::stdout(), "{} bytes written", report.stats.bytes_out)
}
