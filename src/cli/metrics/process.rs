//! The resources of this process, from `/proc`, under the names that all clients of Prometheus use.

use std::fs;
use std::sync::OnceLock;

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

use super::exposition::Exposition;

/// The resources of the process at one moment. What the system does not report is `None`.
#[derive(Debug, Default)]
pub(super) struct Process {
    stat: Option<Stat>,
    /// In seconds since the Unix epoch.
    start_time: Option<f64>,
    open_fds: Option<u64>,
    max_fds: Option<u64>,
}

/// The fields of `/proc/self/stat`.
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_seconds: f64,
    threads: u64,
    /// The time from the boot of the system to the start of the process.
    start_seconds: f64,
    virtual_bytes: u64,
    resident_bytes: u64,
}

impl Process {
    pub(super) fn now() -> Self {
        let stat = read("stat").and_then(|text| {
            let ticks = clock_ticks_per_second();
            Stat::parse(&text, ticks, u64::try_from(page_size()).ok()?)
        });
        let start = |stat: &Stat| Some(boot_time()? + stat.start_seconds);
        Self {
            start_time: stat.as_ref().and_then(start),
            stat,
            open_fds: open_fds(),
            max_fds: getrlimit(Resource::Nofile).current,
        }
    }

    /// Writes the families of which there are values.
    pub(super) fn write(&self, to: &mut Exposition) {
        if let Some(stat) = &self.stat {
            to.counter(
                "process_cpu_seconds",
                "CPU time of the process, user and system.",
            )
            .sample(&[], stat.cpu_seconds);
            to.gauge(
                "process_resident_memory_bytes",
                "Resident memory of the process.",
            )
            .sample(&[], stat.resident_bytes);
            to.gauge(
                "process_virtual_memory_bytes",
                "Virtual memory of the process.",
            )
            .sample(&[], stat.virtual_bytes);
            to.gauge("process_threads", "Threads of the process.")
                .sample(&[], stat.threads);
        }
        if let Some(time) = self.start_time {
            let help = "Start of the process, since the Unix epoch.";
            to.gauge("process_start_time_seconds", help)
                .sample(&[], time);
        }
        if let Some(fds) = self.open_fds {
            to.gauge("process_open_fds", "Open file descriptors of the process.")
                .sample(&[], fds);
        }
        if let Some(fds) = self.max_fds {
            to.gauge("process_max_fds", "Limit of open file descriptors.")
                .sample(&[], fds);
        }
    }
}

impl Stat {
    /// Parses `/proc/self/stat`: see `proc_pid_stat(5)`, which counts the fields from 1.
    fn parse(text: &str, ticks_per_second: u64, page_bytes: u64) -> Option<Self> {
        // The second field is the name of the program, in parentheses, which may have any character.
        let (_, fields) = text.rsplit_once(')')?;
        let fields: Vec<u64> = fields
            .split_whitespace()
            .map(|field| field.parse().unwrap_or(0))
            .collect();
        let field = |number: usize| fields.get(number - 3).copied();
        let seconds = |ticks: u64| seconds(ticks, ticks_per_second);
        Some(Self {
            cpu_seconds: seconds(field(14)? + field(15)?),
            threads: field(20)?,
            start_seconds: seconds(field(22)?),
            virtual_bytes: field(23)?,
            resident_bytes: field(24)?.saturating_mul(page_bytes),
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact for 2.8 million years")]
fn seconds(ticks: u64, ticks_per_second: u64) -> f64 {
    ticks as f64 / ticks_per_second as f64
}

/// Returns the time of the boot in seconds since the Unix epoch. It is read once, because
/// `/proc/stat` is long on a large machine.
fn boot_time() -> Option<f64> {
    static BOOT_TIME: OnceLock<Option<f64>> = OnceLock::new();
    *BOOT_TIME.get_or_init(|| {
        let text = fs::read_to_string("/proc/stat").ok()?;
        let time = text.lines().find_map(|line| line.strip_prefix("btime "))?;
        time.trim().parse().ok()
    })
}

/// Returns the number of open descriptors. Linux 6.2 and later reports it as the size of the folder;
/// an older one reports 0, and the entries are counted.
fn open_fds() -> Option<u64> {
    let folder = "/proc/self/fd";
    match fs::metadata(folder).ok()?.len() {
        // One of the entries is the open folder itself.
        0 => u64::try_from(fs::read_dir(folder).ok()?.count().saturating_sub(1)).ok(),
        size => Some(size),
    }
}

fn read(file: &str) -> Option<String> {
    fs::read_to_string(format!("/proc/self/{file}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "42 (a) b (c) S 1 42 42 0 -1 4194560 9 0 0 0 150 50 0 0 20 0 3 0 1000 \
         8192000 25 18446744073709551615 1 1 0 0 0 0 0 4096 0 0 0 0 17 1 0 0 0 0 0\n";

    #[test]
    fn the_name_of_the_program_may_have_parentheses() {
        let expected = Stat {
            cpu_seconds: 2.0,
            threads: 3,
            start_seconds: 10.0,
            virtual_bytes: 8_192_000,
            resident_bytes: 102_400,
        };
        assert_eq!(Stat::parse(STAT, 100, 4096), Some(expected));
    }

    #[test]
    fn a_file_of_another_form_has_no_values() {
        for text in ["", "42", "42 (a)", "42 (a) S 1 2 3", "42 a S 1"] {
            assert_eq!(Stat::parse(text, 100, 4096), None, "{text}");
        }
        assert!(
            Stat::parse(
                &STAT[..STAT.find("25 1844").expect("it is there")],
                100,
                4096
            )
            .is_none()
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_open_file_counts() {
        let threads = Process::now().stat.expect("it is there").threads;
        assert!(threads >= 1);
        assert!(Process::now().start_time.expect("it is there") > 1.0e9);
        let before = open_fds().expect("it is there");
        // Other tests open and close files meanwhile, but not so many.
        let files: Vec<_> = (0..200)
            .map(|_| fs::File::open("/proc/self/stat"))
            .collect();
        let after = open_fds().expect("it is there");
        assert!(after > before + 100, "{before}, then {after}");
        drop(files);
    }
}
