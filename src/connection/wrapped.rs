//! A handler behind a layer.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

pin_project! {
    /// The future of a handler behind a layer: it runs `layer`, and calls `handler` with the
    /// connection that `layer` returns. An error of `layer` is the result, and the handler is not
    /// called.
    ///
    /// [`ProxyProtocol::wrap`](crate::proxy_protocol::ProxyProtocol::wrap) and `tls::Acceptor::wrap`
    /// return handlers with this future. It takes the room of the larger of the two futures and a
    /// word, and no allocation.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::Connection;
    /// use halves::connection::Wrapped;
    /// use std::future::ready;
    ///
    /// let connection = Connection::new(&b"hello"[..], vec![]);
    /// let handler = async |connection: Connection<&[u8], Vec<u8>>| Ok(drop(connection));
    /// let wrapped = Wrapped::new(ready(Ok(connection)), handler);
    /// smol::block_on(wrapped)?;
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use = "futures do nothing unless they are polled"]
    pub struct Wrapped<L, H, F> {
        #[pin]
        stage: Stage<L, H, F>,
    }
}

pin_project! {
    #[project = StageProjection]
    enum Stage<L, H, F> {
        Layer { #[pin] layer: L, handler: Option<H> },
        Handler { #[pin] handler: F },
    }
}

impl<L, H, F> Wrapped<L, H, F> {
    /// Makes the future of `handler` behind `layer`.
    ///
    /// # Examples
    ///
    /// See [`Wrapped`].
    pub fn new<C>(layer: L, handler: H) -> Self
    where
        L: Future<Output = io::Result<C>>,
        H: FnOnce(C) -> F,
    {
        let handler = Some(handler);
        Self {
            stage: Stage::Layer { layer, handler },
        }
    }
}

impl<L, H, F, C> Future for Wrapped<L, H, F>
where
    L: Future<Output = io::Result<C>>,
    H: FnOnce(C) -> F,
    F: Future<Output = io::Result<()>>,
{
    type Output = io::Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut stage = self.project().stage;
        loop {
            match stage.as_mut().project() {
                StageProjection::Layer { layer, handler } => {
                    let connection = ready!(layer.poll(cx))?;
                    let Some(handler) = handler.take() else {
                        return Poll::Ready(Err(io::Error::other(
                            "the handler was called already",
                        )));
                    };
                    let handler = handler(connection);
                    stage.set(Stage::Handler { handler });
                }
                StageProjection::Handler { handler } => return handler.poll(cx),
            }
        }
    }
}

impl<L, H, F> fmt::Debug for Wrapped<L, H, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wrapped").finish_non_exhaustive()
    }
}
