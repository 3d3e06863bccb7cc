//! TLS 1.2 and 1.3 as a layer on any connection, over rustls.
