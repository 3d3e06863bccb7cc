//! A server for as long as something else runs.

use std::future::Future;
use std::io;
use std::pin::pin;

use futures_lite::future;

use super::{Handle, Handler, Report, Server, Serving};
use crate::connection::Connection;
use crate::listener::Listener;
use crate::spawn::Spawn;

/// Who was done first.
enum First<T> {
    Body(T),
    Server(io::Result<Report>),
}

impl Server {
    /// Serves while `body` runs, which gets a handle to the server; then drains, and returns what
    /// `body` returned with the report. (asyncio's `async with server`.) All else is as
    /// [`serve`](Self::serve) says.
    ///
    /// A server that ends before, as its listener has, lets `body` go on. The server does not
    /// outlive the call: if that is dropped, or `body` panics, every connection is reset.
    ///
    /// # Errors
    ///
    /// As [`serve`](Self::serve); `body` is dropped where it is then.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::{Connection, Executor, Server, bind, connect};
    /// use halves::service::echo;
    ///
    /// let ex = Executor::new();
    /// let (answer, report) = ex.block_on(async {
    ///     let listener = bind("127.0.0.1:0").await?;
    ///     let handler = async |Connection { reader, writer, .. }| echo(reader, writer).await;
    ///     let body = async |server: halves::Handle| {
    ///         let address = server.local_addrs()[0].to_string();
    ///         let Connection { mut reader, writer, .. } = connect(address.as_str()).await?;
    ///         let mut writer = writer.buffered();
    ///         writer.write(b"hello\n")?;
    ///         writer.write_eof().await?;
    ///         std::io::Result::Ok(reader.line().await?)
    ///     };
    ///     Server::default().serve_while(&ex, listener, handler, body).await
    /// })?;
    /// assert_eq!(answer?.unwrap(), b"hello\n");
    /// assert_eq!(report.stats.accepted, 1);
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn serve_while<E, L, H, F, T>(
        self,
        executor: E,
        listener: L,
        handler: H,
        body: impl AsyncFnOnce(Handle) -> T,
    ) -> io::Result<(T, Report)>
    where
        E: Spawn<Serving<H, Connection<L::Reader, L::Writer>, F>>,
        L: Listener,
        H: Handler<Connection<L::Reader, L::Writer>, F>,
        F: Future<Output = io::Result<()>>,
    {
        let handle = self.handle();
        let shutdown = handle.shutdown().clone();
        let mut serving = pin!(self.serve(executor, listener, handler));
        let mut body = pin!(body(handle));
        // First the server, so that it listens when the body begins.
        let server = async { First::Server(serving.as_mut().await) };
        let first = future::or(server, async { First::Body(body.as_mut().await) }).await;
        match first {
            First::Body(done) => {
                shutdown.drain();
                Ok((done, serving.await?))
            }
            First::Server(report) => {
                let report = report?;
                Ok((body.await, report))
            }
        }
    }
}
