//! Addresses that conflict with each other: the same port, path, name or inherited descriptor
//! twice, or standard error, which is for the log.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::RawFd;

use halves::Address;
use halves::address::ListenOptions;

use super::listen_address::ListenAddress;

/// An address with the option that gives it.
pub(super) type Given<'a> = (&'static str, &'a mut Address);

/// Returns an error of one line if two addresses conflict. Sets `v6-only` on `[::]` if `0.0.0.0` is
/// given with the same port.
pub(super) fn check(addresses: &mut [Given<'_>], ready_fd: Option<RawFd>) -> Result<(), String> {
    set_v6_only_beside_v4(addresses);
    for (n, (option, address)) in addresses.iter().enumerate() {
        let address = &**address;
        if let Address::Fd { number: 2, .. } = address {
            return Err(format!("{option} fd:2: standard error is for the log"));
        }
        for (earlier_option, earlier) in &addresses[..n] {
            let problem = if are_same(earlier, address) {
                "overlap: give one of them"
            } else if overlap(earlier, address) {
                "take the same address and port: give one of them"
            } else {
                continue;
            };
            return Err(match (earlier.to_string(), address.to_string()) {
                (one, other) if (earlier_option, &one) == (option, &other) => {
                    format!("{option} {one} is given twice")
                }
                (one, other) => format!("{earlier_option} {one} and {option} {other} {problem}"),
            });
        }
        if let (Address::Fd { number, .. }, Some(ready_fd)) = (address, ready_fd)
            && *number == ready_fd
        {
            return Err(format!(
                "{option} {address} and --ready-fd {ready_fd} are the same descriptor"
            ));
        }
    }
    Ok(())
}

/// Returns true if `v6-only` is set on any of these addresses.
pub(super) fn any_is_v6_only(listen: &[ListenAddress]) -> bool {
    let v6_only = |options| has(options, ListenOptions::v6_only);
    listen
        .iter()
        .any(|listen| matches!(&listen.address, Address::Tcp { options, .. } if v6_only(options)))
}

/// Returns true if two addresses are the same inherited descriptor, path or name.
fn are_same(one: &Address, other: &Address) -> bool {
    match (one, other) {
        (Address::Stdio, Address::Stdio) => true,
        (Address::Stdio, Address::Fd { number, .. })
        | (Address::Fd { number, .. }, Address::Stdio) => *number < 2,
        (Address::Fd { number: one, .. }, Address::Fd { number: other, .. }) => one == other,
        (Address::Activation { name: one, .. }, Address::Activation { name: other, .. }) => {
            one == other || one.is_none() || other.is_none()
        }
        (Address::Unix { path: one, .. }, Address::Unix { path: other, .. }) => one == other,
        (Address::Abstract { name: one }, Address::Abstract { name: other }) => one == other,
        _ => false,
    }
}

/// Returns true if two TCP addresses take the same port of the same IP address, so that the system
/// would refuse the second. Host names are not resolved.
fn overlap(one: &Address, other: &Address) -> bool {
    let (
        Address::Tcp {
            host: one,
            port: at,
            options: first,
        },
        Address::Tcp {
            host: other,
            port,
            options,
        },
    ) = (one, other)
    else {
        return false;
    };
    let share = has(first, ListenOptions::reuse_port) && has(options, ListenOptions::reuse_port);
    let (ones, others) = (taken(one, first), taken(other, options));
    let meet = ones
        .iter()
        .any(|&a| others.iter().any(|&b| includes(a, b) || includes(b, a)));
    at == port && *port != 0 && !share && meet
}

/// Returns the IP addresses that a host takes, and none for a host name.
fn taken(host: &str, options: &ListenOptions) -> Vec<IpAddr> {
    let all_v6 = IpAddr::from(Ipv6Addr::UNSPECIFIED);
    if is_everywhere(host) && !has(options, ListenOptions::v6_only) {
        return vec![all_v6, Ipv4Addr::UNSPECIFIED.into()];
    }
    let ip = if host.is_empty() {
        Some(all_v6)
    } else {
        ip(host)
    };
    ip.into_iter().collect()
}

fn includes(all: IpAddr, one: IpAddr) -> bool {
    all == one || (all.is_unspecified() && all.is_ipv4() == one.is_ipv4())
}

fn ip(host: &str) -> Option<IpAddr> {
    host.parse().ok().map(|ip: IpAddr| ip.to_canonical())
}

/// Returns true if a host is every interface, over IPv6 and IPv4.
fn is_everywhere(host: &str) -> bool {
    host.is_empty() || ip(host) == Some(Ipv6Addr::UNSPECIFIED.into())
}

/// Sets `v6-only` on each `[::]` with a port that is listed for `0.0.0.0`, too.
fn set_v6_only_beside_v4(addresses: &mut [Given<'_>]) {
    let v4_ports: Vec<u16> = addresses
        .iter()
        .filter_map(|(_, address)| v4_port(address))
        .collect();
    for (_, address) in addresses {
        if let Address::Tcp {
            host,
            port,
            options,
        } = &mut **address
            && is_everywhere(host)
            && v4_ports.contains(port)
        {
            *options = options.clone().v6_only(true);
        }
    }
}

/// Returns the port of an address that is every interface over IPv4 only.
fn v4_port(address: &Address) -> Option<u16> {
    match address {
        Address::Tcp { host, port, .. } if *port != 0 => {
            (ip(host) == Some(Ipv4Addr::UNSPECIFIED.into())).then_some(*port)
        }
        _ => None,
    }
}

fn has(options: &ListenOptions, set: fn(ListenOptions, bool) -> ListenOptions) -> bool {
    set(options.clone(), true) == *options
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(listen: &[&str], ready_fd: Option<RawFd>) -> Result<Vec<String>, String> {
        let addresses = listen.iter().map(|text| text.parse().expect(text));
        let mut addresses: Vec<Address> = addresses.collect();
        let given = addresses.iter_mut().map(|address| ("--listen", address));
        check(&mut given.collect::<Vec<_>>(), ready_fd)?;
        Ok(addresses.iter().map(Address::to_string).collect())
    }

    fn problem(listen: &[&str], ready_fd: Option<RawFd>) -> String {
        checked(listen, ready_fd).expect_err("a problem")
    }

    #[test]
    fn the_same_descriptor_name_or_path_twice_is_a_problem() {
        for listen in [
            &["-", "fd:1"][..],
            &["fd:0", "-"],
            &["fd:3", "2", "fd:3,nagle"],
            &["sd-listen", "sd-listen:b"],
            &["sd-listen:b", "sd-listen"],
            &["/x", "/x,mode=0660"],
        ] {
            let problem = problem(listen, None);
            assert!(problem.ends_with(" overlap: give one of them"));
        }
        let problem = problem(&["2", "fd:3"], Some(3));
        assert_eq!(
            problem,
            "--listen fd:3 and --ready-fd 3 are the same descriptor"
        );
    }

    #[test]
    fn an_address_given_twice_is_named() {
        for (listen, twice) in [
            (&["-", "1", "stdio"][..], "-"),
            (&["fd:3", "2", "fd:3"], "fd:3"),
            (
                &["sd-listen:a", "sd-listen:b", "sd-listen:a"],
                "sd-listen:a",
            ),
            (&["/x", "unix:/x"], "unix:/x"),
            (&["@x", "@x"], "@x"),
            (&["80", "127.0.0.1:80"], "127.0.0.1:80"),
            (&[":80", "1", ":80"], ":80"),
        ] {
            let problem = problem(listen, None);
            assert_eq!(problem, format!("--listen {twice} is given twice"));
        }
    }

    #[test]
    fn the_same_port_and_ip_address_twice_is_a_problem() {
        for [one, other] in [
            ["127.0.0.1:80", "[::ffff:127.0.0.1]:80"],
            ["127.0.0.1:80", "0.0.0.0:80"],
            ["127.0.0.1:80", "[::]:80"],
            ["[::1]:80", ":80"],
            [":80", "[::]:80"],
            [":80", "[::]:80,v6-only"],
            ["127.0.0.1:80", "127.0.0.1:80,reuse-port"],
            ["[::1]:80", "[::]:80,v6-only"],
        ] {
            for listen in [[one, other], [other, one]] {
                let [one, other] = listen.map(|text| text.parse::<Address>().expect(text));
                let problem = problem(&listen, None);
                assert_eq!(
                    problem,
                    format!(
                        "--listen {one} and --listen {other} take the same address and port: give \
                         one of them"
                    )
                );
            }
        }
    }

    #[test]
    fn addresses_of_two_options_conflict_too() {
        for (one, other, problem) in [
            (
                "/x",
                "/x",
                "--listen unix:/x and --metrics unix:/x overlap: give one of them",
            ),
            (
                ":80",
                "80",
                "--listen :80 and --metrics 127.0.0.1:80 take the same address and port: give one \
                 of them",
            ),
            ("1", "fd:2", "--metrics fd:2: standard error is for the log"),
            (
                "1",
                "fd:3",
                "--metrics fd:3 and --ready-fd 3 are the same descriptor",
            ),
        ] {
            let mut addresses = [one, other].map(|text| text.parse().expect(text));
            let given = ["--listen", "--metrics"].into_iter().zip(&mut addresses);
            let checked = check(&mut given.collect::<Vec<_>>(), Some(3));
            assert_eq!(checked.expect_err("a problem"), problem);
        }
    }

    #[test]
    fn every_interface_is_split_by_family() {
        for (listen, checked_so) in [
            (["0.0.0.0:80", "[::]:80"], ["0.0.0.0:80", "[::]:80,v6-only"]),
            ([":80", "0.0.0.0:80"], [":80,v6-only", "0.0.0.0:80"]),
            (["0.0.0.0:80", "[::]:81"], ["0.0.0.0:80", "[::]:81"]),
            (["0.0.0.0:0", "[::]:0"], ["0.0.0.0:0", "[::]:0"]),
        ] {
            let checked = checked(&listen, None).expect("no problem");
            assert_eq!(checked, checked_so);
        }
    }

    #[test]
    fn other_addresses_do_not_conflict() {
        for (listen, ready_fd) in [
            (&["1", "2", "/x", "/y", "@x", "@y"][..], None),
            (&["0", "0", ":0", ":0"], None),
            (&["80,reuse-port", "80,nagle,reuse-port"], None),
            (&["127.0.0.1:80", "[::1]:80", "127.0.0.2:80"], None),
            (&["127.0.0.1:80", "[::]:80,v6-only"], None),
            (&["localhost:80", "localhost.:80"], None),
            (&["-", "fd:3", "sd-listen"], Some(4)),
            (&["sd-listen:a", "sd-listen:b"], None),
        ] {
            checked(listen, ready_fd).expect("no problem");
        }
    }
}
