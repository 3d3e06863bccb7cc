//! The faults of a failure: the smallest set, and the test that is printed with them.

use std::any::Any;
use std::env;
use std::io::{self, ErrorKind};
use std::panic::catch_unwind;
use std::process::Command;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use halves::Connection;
use halves::service::echo;
use halves::testing::{Faults, Sim, Simulation};

/// Faults of each kind, in many connections.
fn faults() -> Faults {
    Faults::none()
        .refusals(0.3)
        .accept_errors(0.3)
        .stalls(0.3)
        .max_stall(Duration::from_hours(1))
        .resets(0.3)
        .offsets(0..10)
}

/// Ten clients, one after another. Fails after a refusal, a reset, an accept error and a long stall,
/// but not without one of these.
async fn four_faults_together(sim: Sim) -> io::Result<()> {
    let echo = async |Connection { reader, writer, .. }| echo(reader, writer).await;
    let server = sim.serve("server", echo)?;
    let (mut refused, mut reset) = (false, false);
    let before = sim.clock().now();
    for _ in 0..10 {
        let exchange = async {
            let mut client = sim.connect("server").await?;
            client.writer.write_all(b"ten bytes.").await?;
            client.writer.close().await?;
            client.reader.read_to_end(&mut Vec::new()).await
        };
        match exchange.await.map_err(|error| error.kind()) {
            Err(ErrorKind::ConnectionRefused) => refused = true,
            Err(ErrorKind::ConnectionReset) => reset = true,
            _ => {}
        }
    }
    let accept_failed = server.stats().accept_errors > 0;
    let stalled = sim.clock().now() - before > Duration::from_mins(1);
    if refused && reset && accept_failed && stalled {
        return Err(io::Error::other("all four"));
    }
    Ok(())
}

#[test]
fn faults_that_are_needed_together_are_left_and_no_others() {
    let simulation = Simulation::builder().faults(faults());
    let failure = simulation
        .try_run(four_faults_together)
        .expect_err("all four");
    let faults = &failure.faults;
    assert_eq!(faults.len(), 4, "{failure}");
    for kind in [": refused", ": reset", "accept ", ": stall for "] {
        assert!(faults.iter().any(|fault| fault.contains(kind)), "{failure}");
    }
    let same = simulation.seed(failure.seed);
    for n in 0..faults.len() {
        let mut fewer = faults.clone();
        let fault = fewer.remove(n);
        let run = same.clone().only(fewer).try_run(four_faults_together);
        assert!(run.is_ok(), "{fault} is not needed");
    }
}

/// Without faults it fails, too, but otherwise.
#[test]
fn a_smaller_set_of_faults_with_another_problem_is_not_taken() {
    let simulation = Simulation::builder().faults(Faults::none().accept_errors(1.0));
    let failure = simulation.try_run(async |sim: Sim| {
        let server = sim.serve("server", async |_| Ok(()))?;
        let mut client = sim.connect("server").await?;
        client.reader.read_to_end(&mut Vec::new()).await?;
        assert_eq!(server.stats().accept_errors, 1, "no error");
        Err(io::Error::other("with an error"))
    });
    let failure = failure.expect_err("it always fails");
    assert_eq!(failure.problem, "with an error");
    assert_eq!(failure.faults.len(), 1);
}

// The test that the failure below prints, without its attribute.
include!("pasted.txt");

#[test]
fn the_printed_test_can_be_pasted_and_fails_in_the_same_way() {
    let simulation = Simulation::builder().faults(faults());
    let simulation = simulation
        .time_limit(Duration::from_millis(86_400_500))
        .poll_limit(1_000_000);
    let failure = simulation
        .try_run(four_faults_together)
        .expect_err("all four");
    let pasted = include_str!("pasted.txt");
    assert_eq!(failure.test, format!("#[test]\n{pasted}"));
    assert!(failure.to_string().ends_with(&failure.test));
    let panic = catch_unwind(four_faults_together_fails_with_seed_0).expect_err("it fails");
    assert_eq!(message(&*panic), failure.to_string());
}

/// Also run by the test below, alone.
#[test]
fn a_reduction_with_panics_is_followed_by_a_panic_of_its_own() {
    let failure = Simulation::builder().faults(faults()).try_run(async |sim| {
        four_faults_together(sim).await.expect("no problem");
        Ok(())
    });
    assert_eq!(failure.expect_err("all four").faults.len(), 4);
    let _ = catch_unwind(|| panic!("a later panic"));
}

#[test]
fn only_the_first_panic_of_a_seed_is_printed() {
    let mut test = Command::new(env::current_exe().expect("our own path"));
    let name = "shrinking::a_reduction_with_panics_is_followed_by_a_panic_of_its_own";
    test.args(["--exact", name, "--nocapture"]);
    let output = test.output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert_eq!(text.matches("no problem: ").count(), 1, "{text}");
    assert_eq!(text.matches("a later panic").count(), 1, "{text}");
}

fn message(panic: &dyn Any) -> &str {
    panic.downcast_ref::<String>().map_or("", String::as_str)
}

#[test]
fn a_printed_test_has_the_faults_of_its_simulation() {
    let source = |faults: Faults| {
        let simulation = Simulation::builder().faults(faults);
        let failure = simulation.try_run(async |_| Err(io::Error::other("always")));
        let test = failure.expect_err("always").test;
        let start = test.find(".faults(").expect("its faults") + ".faults(".len();
        test[start..]
            .split(")\n")
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let ms = Duration::from_millis;
    let all = Faults::none()
        .max_piece(1)
        .buffer(2)
        .latency(ms(3)..Duration::from_micros(4567))
        .bandwidth(8)
        .pauses(0.9)
        .stalls(0.1)
        .max_stall(ms(2000))
        .resets(0.2)
        .ends(0.25)
        .vanishings(0.3)
        .refusals(0.5)
        .accept_errors(1.0)
        .offsets(1..2);
    for (faults, expected) in [
        (Faults::default(), "Faults::default()"),
        (Faults::all(), "Faults::all()"),
        (Faults::none(), "Faults::none()"),
        (Faults::all().stalls(0.0), "Faults::all().stalls(0.0)"),
        (
            all,
            "Faults::all().max_piece(1).buffer(2)\
             .latency(Duration::from_millis(3)..Duration::new(0, 4567000)).bandwidth(8).pauses(0.9)\
             .resets(0.2).ends(0.25).vanishings(0.3).refusals(0.5).accept_errors(1.0)\
             .max_stall(Duration::from_secs(2)).offsets(1..2)",
        ),
    ] {
        assert_eq!(source(faults), expected);
    }
}

#[test]
fn a_printed_test_without_faults_compiles_too_and_a_closure_is_named_test() {
    let failure = Simulation::builder().try_run(async |_| Err(io::Error::other("always")));
    let test = failure.expect_err("always").test;
    assert!(
        test.contains("        .only::<String>([])\n        .run(test);\n"),
        "{test}"
    );
    let name = "fn a_printed_test_without_faults_compiles_too_and_a_closure_is_named_test_fails_with_seed_0()";
    assert!(test.contains(name), "{test}");
}
