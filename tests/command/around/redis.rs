//! `redis-server` behind `proxy`.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::thread;

use super::{other, proxy};
use crate::common::{Client, run_to_end};
use crate::session::lacks;

const COMMANDS: usize = 20_000;

fn redis(at: SocketAddr, dir: &Path) -> Command {
    let mut command = Command::new("redis-server");
    command
        .args(["--bind", &at.ip().to_string()])
        .args(["--port", &at.port().to_string()])
        .args(["--save", "", "--appendonly", "no", "--dir"])
        .arg(dir);
    command
}

/// Writes a command in the protocol of Redis.
fn command(words: &[&str]) -> String {
    let words = words.iter().fold(String::new(), |text, word| {
        format!("{text}${}\r\n{word}\r\n", word.len())
    });
    let count = words.matches("\r\n").count() / 2;
    format!("*{count}\r\n{words}")
}

fn expect(client: &mut Client, answer: &str) {
    let mut received = vec![0; answer.len()];
    client.0.read_exact(&mut received).expect("it answers");
    assert_eq!(String::from_utf8_lossy(&received), answer);
}

#[test]
fn redis_answers_many_commands_through_proxy() {
    let name = "redis_answers_many_commands_through_proxy";
    if lacks("redis-server", name) {
        return;
    }
    let redis = other(redis);
    drop(Client::connect_in_time(redis.at));
    let mut relay = proxy(redis.at, &[]);
    let mut client = relay.client();
    client
        .0
        .write_all(command(&["PING"]).as_bytes())
        .expect("it reads");
    expect(&mut client, "+PONG\r\n");
    // One pipeline: answers arrive while commands are still sent.
    let mut writer = client.0.try_clone().expect("a socket");
    let sender = thread::spawn(move || {
        for n in 0..COMMANDS {
            let (key, value) = (format!("key:{n}"), format!("{n:0200}"));
            let both = command(&["SET", &key, &value]) + &command(&["GET", &key]);
            writer.write_all(both.as_bytes()).expect("it reads");
        }
    });
    for n in 0..COMMANDS {
        expect(&mut client, &format!("+OK\r\n$200\r\n{n:0200}\r\n"));
    }
    sender.join().expect("all is sent");
    // The server ends the connection first.
    client
        .0
        .write_all(command(&["QUIT"]).as_bytes())
        .expect("it reads");
    assert_eq!(client.rest(), b"+OK\r\n");
    drop(client);
    let closed = relay.wait_for("closed");
    assert!(!closed.contains(" reason=error"), "{closed}");
    relay.end();
}

#[test]
fn the_client_of_redis_works_through_proxy() {
    let name = "the_client_of_redis_works_through_proxy";
    if lacks("redis-server", name) || lacks("redis-cli", name) {
        return;
    }
    let redis = other(redis);
    drop(Client::connect_in_time(redis.at));
    let mut relay = proxy(redis.at, &[]);
    let port = relay.at[0].port().to_string();
    let mut client = Command::new("redis-cli");
    client.args(["-p", &port, "INCR", "count"]);
    let output = run_to_end(&mut client);
    assert_eq!(output.stdout, b"1\n", "{output:?}");
    relay.wait_for("closed");
    relay.end();
}
