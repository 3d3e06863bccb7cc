//! A reactor's hold on a source that the kernel may name.

use std::fmt;
use std::sync::Arc;

use super::{Source, SourceOwner};

/// A reactor's own reference: as long as it lives, the kernel may name the source.
pub(super) struct Registration(Arc<dyn SourceOwner>);

impl Registration {
    pub(super) fn new(host: &Arc<impl SourceOwner + ?Sized>) -> Self {
        Self(host.clone().share())
    }

    pub(super) fn source(&self) -> &Source {
        self.0.source()
    }

    pub(super) fn share(&self) -> Self {
        Self(self.0.clone())
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Registration").field(self.source()).finish()
    }
}
