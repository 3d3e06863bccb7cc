//! The bound on a handler, with the compiler's message for what is none.

use std::future::Future;
use std::io;

/// A function that serves one connection: async, of one argument, and `Clone`.
///
/// It is implemented for each such function and closure, and for nothing else; `C` is the connection, `F`
/// the future that the function returns. Each connection is served by a clone of the handler.
///
/// # Examples
///
/// A function that serves any handler names it in its bounds:
///
/// ```
/// use halves::{Connection, Executor, Once, Report, serve};
/// use halves::server::Handler;
/// use std::{future::Future, io};
///
/// async fn serve_once<H, F>(ex: &Executor, handler: H) -> io::Result<Report>
/// where
///     H: Handler<Connection<&'static [u8], Vec<u8>>, F> + Send + 'static,
///     F: Future<Output = io::Result<()>> + Send + 'static,
/// {
///     serve(ex, Once::new(Connection::new(&b"hello"[..], vec![])), handler).await
/// }
///
/// let ex = Executor::new();
/// let report = ex.block_on(serve_once(&ex, async |connection| Ok(drop(connection))))?;
/// assert_eq!(report.stats.accepted, 1);
/// # io::Result::Ok(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler of connections",
    label = "not a handler",
    note = "a handler takes one `Connection` and returns `io::Result<()>`: \
            `async |Connection {{ reader, writer, .. }}| upper(reader, writer).await`, or an `async fn`",
    note = "each connection gets a clone of the handler, so what it captures is `Clone`"
)]
pub trait Handler<C, F>: FnOnce(C) -> F + Clone {}

// Else the message is about the part that is missing, and does not say what a handler is.
#[diagnostic::do_not_recommend]
impl<H, C, F> Handler<C, F> for H
where
    H: FnOnce(C) -> F + Clone,
    F: Future<Output = io::Result<()>>,
{
}
