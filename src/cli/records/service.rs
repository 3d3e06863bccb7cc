//! A service with records of its connections.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use futures_lite::{AsyncRead, AsyncWrite};
use halves::Connection;
use halves::service::Service;

use super::Records;

type Serving = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

/// Any service, with records. It is one type, so that a server with records is compiled once.
#[derive(Clone)]
pub(in crate::cli) struct RecordedService {
    serve: Arc<dyn Fn(Connection) -> Serving + Send + Sync>,
    records: Records,
}

impl RecordedService {
    pub(in crate::cli) fn new(service: impl Service, records: Records) -> Self {
        Self {
            serve: Arc::new(move |connection| Box::pin(service.clone().serve(connection))),
            records,
        }
    }
}

impl Service for RecordedService {
    fn serve<R, W>(
        self,
        connection: Connection<R, W>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        (self.serve)(self.records.record(connection))
    }
}
