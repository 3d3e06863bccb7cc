//! Layers such as TLS, as the peer shows them: payload, extensions, and the peer above a layer.

use std::any::Any;
use std::sync::Arc;

use super::Peer;
use crate::connection::{Flag, Link};

impl Peer {
    /// Returns the number of bytes that the handler has read above all layers. Without a layer this
    /// is [`bytes_in`](Self::bytes_in).
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(halves::Peer::default().payload_in(), 0);
    /// ```
    #[must_use]
    pub fn payload_in(&self) -> u64 {
        self.0.payload_in()
    }

    /// Returns the number of bytes that the handler has written above all layers. Without a layer
    /// this is [`bytes_out`](Self::bytes_out).
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(halves::Peer::default().payload_out(), 0);
    /// ```
    #[must_use]
    pub fn payload_out(&self) -> u64 {
        self.0.payload_out()
    }

    /// Stores what a layer has learned of the connection, such as the name that a client gave. A
    /// later value of the same type replaces it.
    ///
    /// # Examples
    ///
    /// ```
    /// struct Tenant(&'static str);
    ///
    /// let peer = halves::Peer::default();
    /// assert!(peer.extension::<Tenant>().is_none());
    /// peer.set_extension(Tenant("blue"));
    /// assert_eq!(peer.extension::<Tenant>().unwrap().0, "blue");
    /// ```
    pub fn set_extension<T: Any + Send + Sync>(&self, value: T) {
        self.0.set_extension(value);
    }

    /// Returns the stored value of this type. It stays after the connection has ended.
    ///
    /// # Examples
    ///
    /// See [`set_extension`](Self::set_extension).
    #[must_use]
    pub fn extension<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.0.extension()
    }

    /// Returns the peer of a layer above this connection, and the link that the layer ends after
    /// itself.
    ///
    /// The layer's link owns the layer, which owns the underlying halves, which may own this record.
    /// A server breaks this cycle when it drops the link. Without a server, a new record has the link,
    /// so that there is no cycle.
    pub(in crate::connection) fn above(self) -> (Self, Option<Arc<dyn Link>>) {
        let record = &self.0;
        if record.context().is_some() {
            let link = record.link();
            return (self, link);
        }
        let mut above = Self::new(self.endpoint(), self.local());
        if let Some(credentials) = self.credentials() {
            above = above.with_credentials(credentials);
        }
        above = above.marked_as(record);
        if record.flags.has(Flag::NoHalfClose) {
            above = above.without_half_close();
        }
        above.record().set_frame_limit(record.frame_limit());
        above.record().set_listener(record.listener());
        above.record().copy_extensions(record);
        (above, record.as_link())
    }
}
