//! Which addresses cannot be listened at together: what we were started with is there once, and
//! standard error is for the log.

use std::os::fd::RawFd;

use halves::Address;

/// A problem in one line, if there is one. What is not ours alone the system refuses itself.
pub(super) fn check(listen: &[Address], ready_fd: Option<RawFd>) -> Result<(), String> {
    for (n, address) in listen.iter().enumerate() {
        if let Address::Fd { number: 2 } = address {
            return Err("--listen fd:2: standard error is for the log".to_owned());
        }
        let mut earlier = listen[..n].iter();
        if let Some(earlier) = earlier.find(|earlier| are_same(earlier, address)) {
            return Err(format!(
                "--listen {earlier} and --listen {address} name the same, which is there once"
            ));
        }
        if let (Address::Fd { number }, Some(ready_fd)) = (address, ready_fd)
            && *number == ready_fd
        {
            return Err(format!(
                "--listen {address} and --ready-fd {ready_fd} name the same, which is there once"
            ));
        }
    }
    Ok(())
}

/// Whether two addresses name the same that we were started with.
fn are_same(one: &Address, other: &Address) -> bool {
    match (one, other) {
        (Address::Stdio, Address::Stdio) => true,
        (Address::Stdio, Address::Fd { number }) | (Address::Fd { number }, Address::Stdio) => {
            *number < 2
        }
        (Address::Fd { number: one }, Address::Fd { number: other }) => one == other,
        (Address::Activation { name: one }, Address::Activation { name: other }) => {
            one == other || one.is_none() || other.is_none()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(listen: &[&str], ready_fd: Option<RawFd>) -> Option<String> {
        let listen: Vec<_> = listen
            .iter()
            .map(|text| text.parse().expect(text))
            .collect();
        check(&listen, ready_fd).err()
    }

    #[test]
    fn what_is_there_once_is_named_once() {
        for (listen, ready_fd) in [
            (&["-", "1", "stdio"][..], None),
            (&["-", "fd:1"], None),
            (&["fd:0", "-"], None),
            (&["fd:3", "2", "fd:3"], None),
            (&["sd-listen:a", "sd-listen:b", "sd-listen:a"], None),
            (&["sd-listen", "sd-listen:b"], None),
            (&["sd-listen:b", "sd-listen"], None),
            (&["2", "fd:3"], Some(3)),
        ] {
            let problem = problem(listen, ready_fd).expect("a problem");
            assert!(problem.ends_with("name the same, which is there once"));
        }
    }

    #[test]
    fn the_rest_goes_together() {
        for (listen, ready_fd) in [
            (&["1", "1", "/x", "/x", "@x", "@x"][..], None),
            (&["-", "fd:3", "sd-listen"], Some(4)),
            (&["sd-listen:a", "sd-listen:b"], None),
        ] {
            assert_eq!(problem(listen, ready_fd), None);
        }
    }
}
