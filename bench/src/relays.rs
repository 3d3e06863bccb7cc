//! The servers of the rows with a relay, and of those that start a child for each connection.

use crate::options::Options;
use crate::prepare::{Field, halves, source};
use crate::rows::Service;
use crate::servers::{Server, split};
use std::path::Path;
use std::process::{Command, Stdio};

impl Field {
    /// Adds `halves proxy`, the relays of this folder, nginx and HAProxy.
    pub fn add_relays(&mut self, options: &Options, beside: &Path) {
        let relay = |name: &str, program: &Path, words: &str| Server {
            service: Service::Relay,
            ..Server::new(name, program, words)
        };
        let command = halves(options, beside);
        if command.is_file() {
            let words = "proxy --listen 127.0.0.1:{port} 127.0.0.1:{origin} --max-connections 9900";
            let mut server = relay("halves-relay", &command, words);
            server.words.extend_from_slice(&options.halves_options);
            self.servers.push(server);
        }
        for (name, program) in [
            ("halves-lib-relay", "peer-halves-relay"),
            ("tokio-relay", "peer-tokio-relay"),
            ("async-net-relay", "peer-async-net-relay"),
        ] {
            let program = beside.join(program);
            if program.is_file() {
                self.servers.push(relay(name, &program, RELAY_OPTIONS));
            }
        }
        let go = self.folder.join("relay-go");
        let mut build = Command::new("go");
        build.args(["build", "-o"]).arg(&go).arg(source("relay.go"));
        if self.builds("go-relay", &mut build) {
            self.servers.push(relay("go-relay", &go, RELAY_OPTIONS));
        }
        for (name, program, words, version, config) in [
            ("nginx-relay", "nginx", "-c {config}", "-v", NGINX),
            ("haproxy-relay", "haproxy", "-f {config}", "-v", HAPROXY),
        ] {
            let mut check = Command::new(program);
            if self.builds(name, check.arg(version).stderr(Stdio::null())) {
                let config = Some(config);
                self.servers.push(Server {
                    config,
                    ..relay(name, Path::new(program), words)
                });
            }
        }
    }

    /// Adds the servers that start a child for each connection. The child has no libc, so that the
    /// figures show the cost of the server.
    pub fn add_exec(&mut self, options: &Options, beside: &Path) {
        let child = self.folder.join("child");
        let mut build = Command::new("cc");
        build.args(["-O2", "-static", "-nostdlib", "-fno-stack-protector", "-o"]);
        build.arg(&child).arg(source("child.c"));
        if !self.builds("the servers that start a child", &mut build) {
            return;
        }
        let child = child.display().to_string();
        let exec = |name: &str, program: &Path, words: &[&str]| Server {
            service: Service::Exec,
            words: words.iter().copied().flat_map(split).collect(),
            ..Server::new(name, program, "")
        };
        let command = halves(options, beside);
        if command.is_file() {
            let options = options.halves_options.join(" ");
            let words = ["exec --listen 127.0.0.1:{port}", &options, &child];
            self.servers.push(exec("halves-exec", &command, &words));
        }
        for (name, words) in [
            ("tcpserver", "-H -R -l 0 -c 1000 127.0.0.1 {port} {child}"),
            (
                "socat",
                "TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork EXEC:{child}",
            ),
            (
                "systemd-socket-activate",
                "--accept --inetd -l 127.0.0.1:{port} {child}",
            ),
        ] {
            let mut check = Command::new("which");
            if self.builds(name, check.arg(name)) {
                let words = [&*words.replace("{child}", &child)];
                self.servers.push(exec(name, Path::new(name), &words));
            }
        }
    }
}

const RELAY_OPTIONS: &str = "--port {port} --target {origin}";
/// One process, as the others.
const NGINX: &str = "\
load_module modules/ngx_stream_module.so;
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr error;
worker_rlimit_nofile 20000;
events { worker_connections 19990; }
stream {
    server {
        listen 127.0.0.1:{port} backlog=4096;
        proxy_pass 127.0.0.1:{origin};
        proxy_half_close on;
        tcp_nodelay on;
    }
}
";
const HAPROXY: &str = "\
global
    nbthread 1
    maxconn 9900
defaults
    mode tcp
    timeout connect 10s
    timeout client 1h
    timeout server 1h
listen relay
    bind 127.0.0.1:{port} backlog 4096
    server origin 127.0.0.1:{origin}
";
