//! The own arguments of `halves serve`.

use argh::{ArgsInfo, FromArgs};
use halves::service::ServiceSettings;

use crate::cli::service::{Served, Service};
use crate::cli::values::word;

/// Run a built-in service on one or more addresses until stopped by a signal.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "serve",
    help_triggers("-h", "--help", "help"),
    usage = "SERVICE [OPTIONS]",
    example = "{command_name} upper\n\
        {command_name} echo --listen 127.0.0.1:7000 --listen [::1]:7000\n\
        {command_name} upper --listen /run/upper.sock,mode=0660,group=web --listen @upper\n\
        {command_name} upper --listen sd-listen:web --listen fd:5\n\
        {command_name} upper --listen - <request >reply\n\
        {command_name} discard --listen :9 --max-connections 100 --log json\n\
        {command_name} echo --listen :7 --max-per-source 40/24/56 --idle-timeout 5m\n\
        {command_name} echo --listen :7 --allow 10.0.0.0/8 --deny @/etc/halves.deny\n\
        {command_name} upper --listen :443 --tls-cert a.pem --tls-key a.key\n\
        {command_name} echo --listen :7 --proxy-protocol v2 --trust-proxy 10.0.0.0/8\n\
        taskset -c 2,3 {command_name} upper --threads 2"
)]
pub(in crate::cli) struct Serve {
    /// one of the services below
    #[argh(positional)]
    pub(in crate::cli) service: Service,

    /// close a connection when one read yields exactly WORD (upper only)
    #[argh(option, arg_name = "word", from_str_fn(word))]
    pub(in crate::cli) close_word: Option<String>,
}

impl Serve {
    /// Checks the options that depend on each other.
    pub(super) fn checked(self) -> Result<Self, String> {
        let Service(service) = self.service;
        if self.close_word.is_some() && !service.has_close_word {
            return Err(format!("{} has no --close-word", service.name));
        }
        Ok(self)
    }

    /// Returns the service that was chosen.
    pub(in crate::cli) fn service(self) -> Served {
        let settings = ServiceSettings {
            close_word: self.close_word,
        };
        Served::built_in(self.service, settings)
    }
}
