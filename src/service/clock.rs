//! Daytime (RFC 867) and Time (RFC 868).

use std::io;
use std::time::Duration;

use futures_lite::{AsyncRead, AsyncWrite, AsyncWriteExt};

use crate::connection::{Reader, Writer};
use crate::time::unix_time;

/// The seconds from 1900 to 1970.
const UNIX_EPOCH_SECONDS: u64 = 2_208_988_800;
const DAY_SECONDS: u64 = 24 * 60 * 60;
const WEEKDAYS: [&str; 7] = [
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Sends the date and time in UTC as a line of text, then closes (RFC 867). Received bytes are
/// dropped.
///
/// # Errors
///
/// Returns the errors of the writer.
///
/// # Examples
///
/// ```
/// use halves::Connection;
/// use halves::service::daytime;
///
/// # smol::block_on(async {
/// let connection = Connection::new(futures_lite::io::empty(), vec![]);
/// let (reader, mut writer) = (connection.reader, connection.writer);
/// // As in "Thursday, November 26, 2026 17:06:08-UTC".
/// daytime(reader, writer).await?;
/// assert!(connection.peer.bytes_out() > 30);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub async fn daytime<R, W>(reader: Reader<R>, writer: Writer<W>) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    send(reader, writer, date(unix_time()).as_bytes()).await
}

/// Sends the seconds since 1900 as a number of 32 bits in network byte order, then closes (RFC 868).
/// Received bytes are dropped. The number starts anew from 0 in February 2036.
///
/// # Errors
///
/// Returns the errors of the writer.
///
/// # Examples
///
/// ```
/// use halves::Connection;
/// use halves::service::time;
///
/// # smol::block_on(async {
/// let connection = Connection::new(futures_lite::io::empty(), vec![]);
/// time(connection.reader, connection.writer).await?;
/// assert_eq!(connection.peer.bytes_out(), 4);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub async fn time<R, W>(reader: Reader<R>, writer: Writer<W>) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    send(reader, writer, &seconds_since_1900(unix_time())).await
}

/// The reader is kept until the end, as the halves of some streams end each other.
async fn send<R, W>(reader: Reader<R>, mut writer: Writer<W>, bytes: &[u8]) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    writer.write_all(bytes).await?;
    writer.close().await?;
    drop(reader);
    Ok(())
}

fn seconds_since_1900(unix_time: Duration) -> [u8; 4] {
    let [_, _, _, _, low @ ..] = (unix_time.as_secs() + UNIX_EPOCH_SECONDS).to_be_bytes();
    low
}

fn date(unix_time: Duration) -> String {
    let seconds = unix_time.as_secs();
    let (days, second) = (seconds / DAY_SECONDS, seconds % DAY_SECONDS);
    let weekday = WEEKDAYS[(days % 7) as usize];
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let month = MONTHS[month];
    format!("{weekday}, {month} {day}, {year} {hour:02}:{minute:02}:{second:02}-UTC\r\n")
}

/// Returns year, month (from 0) and day of a number of days since 1970.
fn civil(mut days: u64) -> (u64, usize, u64) {
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    // 400 years of the calendar have the same number of days.
    let mut year = 1970 + 400 * (days / 146_097);
    days %= 146_097;
    loop {
        let length = 365 + u64::from(is_leap(year));
        if days < length {
            break;
        }
        days -= length;
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    (year, month, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> String {
        date(Duration::from_secs(seconds))
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "Thursday, January 1, 1970 00:00:00-UTC\r\n"),
            (951_827_696, "Tuesday, February 29, 2000 12:34:56-UTC\r\n"),
            (
                1_798_761_599,
                "Thursday, December 31, 2026 23:59:59-UTC\r\n",
            ),
            (1_798_761_600, "Friday, January 1, 2027 00:00:00-UTC\r\n"),
            (4_107_542_400, "Monday, March 1, 2100 00:00:00-UTC\r\n"),
            (12_622_780_800, "Thursday, January 1, 2370 00:00:00-UTC\r\n"),
        ] {
            assert_eq!(at(seconds), text);
        }
    }

    #[test]
    fn the_seconds_have_32_bits() {
        // From the examples in RFC 868.
        let at = |unix| u32::from_be_bytes(seconds_since_1900(Duration::from_secs(unix)));
        assert_eq!(at(0), 2_208_988_800);
        assert_eq!(at(2_524_521_600 - 2_208_988_800), 2_524_521_600);
        assert_eq!(at((1 << 32) - 2_208_988_800), 0);
    }
}
