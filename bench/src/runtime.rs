//! The runtimes of other projects for the comparison of Halves with a plain loop on the same
//! runtime.

use std::str::FromStr;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// tokio's current_thread runtime.
    Tokio,
    /// `smol::block_on` with an `Executor`.
    Smol,
    /// `smol::block_on` with a `LocalExecutor`.
    SmolLocal,
    /// `smol::spawn`: smol's global executor, with one thread of its own.
    SmolGlobal,
    AsyncStd,
}

impl Runtime {
    pub const ALL: [Runtime; 5] = [
        Runtime::Tokio,
        Runtime::Smol,
        Runtime::SmolLocal,
        Runtime::SmolGlobal,
        Runtime::AsyncStd,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Runtime::Tokio => "tokio",
            Runtime::Smol => "smol",
            Runtime::SmolLocal => "smol-local",
            Runtime::SmolGlobal => "smol-global",
            Runtime::AsyncStd => "async-std",
        }
    }
}

impl FromStr for Runtime {
    type Err = String;

    fn from_str(name: &str) -> Result<Runtime, String> {
        Runtime::ALL
            .into_iter()
            .find(|runtime| runtime.name() == name)
            .ok_or_else(|| format!("no runtime is called {name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_runtime_parses_to_it() {
        for runtime in Runtime::ALL {
            assert_eq!(runtime.name().parse(), Ok(runtime));
        }
        assert!("toko".parse::<Runtime>().is_err());
    }
}
