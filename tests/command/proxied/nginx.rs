//! Behind the stream module of nginx, which sends version 1.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::{Balancer, SOURCE, TRUSTING, free_address, is_served_by_its_address};
use crate::common::{Halves, run_to_end, serve};
use crate::session::lacks;
use crate::support::place;
use crate::support::skip::skip;

/// The module, where it is not part of nginx itself.
const MODULES: [&str; 2] = [
    "/usr/lib/nginx/modules/ngx_stream_module.so",
    "/usr/lib64/nginx/modules/ngx_stream_module.so",
];

/// Starts nginx before a server, with PROXY headers. Returns None if its stream module is missing.
pub(super) fn nginx(server: &Halves, test: &str) -> Option<Balancer> {
    nginx_before(server.at[0], "proxy_protocol on;", test)
}

/// The same, before a server at this address, with these settings.
pub(crate) fn nginx_before(back: SocketAddr, settings: &str, test: &str) -> Option<Balancer> {
    if lacks("nginx", test) {
        return None;
    }
    let (dir, at) = (place::dir(), free_address());
    let module = MODULES.iter().find(|module| Path::new(module).exists());
    let load = module.map(|module| format!("load_module {module};\n"));
    let text = format!(
        "{}daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr;\nevents {{}}\n\
         stream {{ server {{ listen {at}; proxy_pass {back}; {settings} }} }}\n",
        load.unwrap_or_default()
    );
    fs::write(dir.path().join("nginx.conf"), text).expect("a file");
    let nginx = || {
        let mut nginx = Command::new("nginx");
        nginx
            .arg("-p")
            .arg(dir.path())
            .args(["-c", "nginx.conf", "-e", "stderr"]);
        nginx
    };
    let checked = run_to_end(nginx().arg("-t"));
    let error = String::from_utf8_lossy(&checked.stderr);
    if error.contains("unknown directive \"stream\"") {
        skip(test, "nginx has no stream module");
        return None;
    }
    assert!(checked.status.success(), "{error}");
    let mut command = nginx();
    Some(Balancer::start(&mut command, at, dir))
}

#[test]
fn the_client_is_the_one_before_nginx() {
    for version in ["v1", "any"] {
        let mut server = serve(&[&["upper", "--proxy-protocol", version], &TRUSTING[..]].concat());
        let Some(balancer) = nginx(&server, "the_client_is_the_one_before_nginx") else {
            return;
        };
        is_served_by_its_address(balancer.client(SOURCE), &mut server);
        is_served_by_its_address(balancer.client([127, 0, 0, 6]), &mut server);
        server.end();
    }
}

#[test]
fn rules_are_for_the_client_before_nginx() {
    let args = ["upper", "--proxy-protocol=v1", "--deny=127.0.0.5"];
    let mut server = serve(&[&args, &TRUSTING[..]].concat());
    let Some(balancer) = nginx(&server, "rules_are_for_the_client_before_nginx") else {
        return;
    };
    assert_eq!(balancer.client(SOURCE).rest(), b"");
    let refused = server.wait_for("refused conn=1 peer=127.0.0.5:");
    assert!(refused.ends_with(" reason=denied"), "{refused}");
    is_served_by_its_address(balancer.client([127, 0, 0, 6]), &mut server);
    server.end();
}
