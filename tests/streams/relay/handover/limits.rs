//! Limits of the process that takes relays over.

use halves::limits::{Rules, Sources};
use halves::{Server, bind};

use super::{World, channel, pass, run};

#[test]
fn rules_and_limits_per_source_do_not_refuse_a_relay_but_it_counts() {
    run(false, async |mut world: World| {
        let old = world.first().await;
        let mut ends = Vec::new();
        for _ in 0..3 {
            let (mut client, mut origin) = world.connect(&old).await;
            pass(&mut client, &mut origin, b"a").await;
            ends.push((client, origin));
        }
        let (ours, theirs) = channel();
        let sources = Sources::default().max_connections(2);
        let listeners = bind("127.0.0.1:0").await.expect("a free port");
        let new = world.taking(listeners, theirs, Server::default().sources(sources));
        assert_eq!(old.handover.send(ours).await.expect("a channel").moved, 3);
        new.until_open(3).await;
        for (client, origin) in &mut ends {
            pass(client, origin, b"b").await;
        }
        let address = new.handle.local_addrs()[0].to_string();
        let mut refused = halves::connect(address).await.expect("it listens");
        let read = futures_lite::AsyncReadExt::read(&mut refused.reader, &mut [0]).await;
        assert_eq!(read.expect("an end"), 0);
        assert_eq!(new.handle.stats().ended[halves::Reason::PerSource], 1);

        let (ours, theirs) = channel();
        let rules = Rules::default().deny("127.0.0.0/8".parse().expect("a network"));
        let newer = world.successor(theirs, Server::default().rules(rules));
        assert_eq!(new.handover.send(ours).await.expect("a channel").moved, 3);
        newer.until_open(3).await;
    });
}

#[test]
fn relays_wait_for_room_and_those_that_the_channel_does_not_hold_stay_meanwhile() {
    run(false, async |mut world: World| {
        let old = world.first().await;
        let mut ends = Vec::new();
        for _ in 0..60 {
            let (mut client, mut origin) = world.connect(&old).await;
            pass(&mut client, &mut origin, b"a").await;
            ends.push((client, origin));
        }
        let (ours, theirs) = channel();
        let new = world.successor(theirs, Server::default().max_connections(1));
        let (sent, mut ends_left) = futures_lite::future::zip(old.handover.send(ours), async {
            new.until_open(1).await;
            let (mut client, mut origin) = ends.pop().expect("60 of them");
            // It is still in the old process.
            pass(&mut client, &mut origin, b"b").await;
            assert!(old.open() > 40, "a channel holds few relays");
            new.handle.set_max_connections(100);
            ends.push((client, origin));
            ends
        })
        .await;
        assert_eq!(sent.expect("a channel").moved, 60);
        for (client, origin) in &mut ends_left {
            pass(client, origin, b"c").await;
        }
    });
}
