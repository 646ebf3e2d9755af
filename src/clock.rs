//! Calendar time: the HTTP `Date` header, the log's timestamps, and certificate dates.
//!
//! Invariant: pure functions of unix seconds; times before 1970 do not occur. Must never read the clock outside
//! [`unix_now`], so that everything that depends on time takes it as a parameter.

use std::time::{SystemTime, UNIX_EPOCH};

/// A moment in whole seconds since 1970-01-01T00:00:00Z.
pub type UnixSeconds = u64;

/// The system clock in seconds; 0 before 1970.
pub fn unix_now() -> UnixSeconds {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A UTC date and time.
struct Civil {
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
}

/// Unix seconds to date and time, by Howard Hinnant's `civil_from_days`: the year starts in March, so that the leap day
/// comes last.
fn civil(at: UnixSeconds) -> Civil {
    let days = at / 86_400 + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    Civil {
        year: era * 400 + year_of_era + u64::from(month <= 2),
        month,
        day: day_of_year - (153 * shifted_month + 2) / 5 + 1,
        hour: at / 3600 % 24,
        minute: at / 60 % 60,
        second: at % 60,
    }
}

/// The preferred form of RFC 9110 section 5.6.7, e.g. `Sun, 06 Nov 1994 08:49:37 GMT`.
pub fn http_date(at: UnixSeconds) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let Civil { year, month, day, hour, minute, second } = civil(at);
    // 1970-01-01 was a Thursday.
    let weekday = DAYS.iter().cycle().nth(usize::try_from(at / 86_400 % 7).unwrap_or(0)).unwrap_or(&"Thu");
    let month = MONTHS.get(usize::try_from(month - 1).unwrap_or(0)).unwrap_or(&"Jan");
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

/// Parses the format of [`http_date`]; `None` for any other.
pub fn parse_http_date(text: &str) -> Option<UnixSeconds> {
    let words: Vec<&str> = text.split(' ').collect();
    let [_, day, month, year, time, "GMT"] = words.as_slice() else { return None };
    let number = |text: &str, most: u64| text.parse().ok().filter(|number| *number <= most);
    let times: Vec<u64> = time.split(':').map(|part| number(part, 60)).collect::<Option<_>>()?;
    let [hour, minute, second] = *times.as_slice() else { return None };
    let month = u64::try_from(MONTHS.iter().position(|known| known == month)?).ok()? + 1;
    moment(&Civil { year: number(year, 9999)?, month, day: number(day, 31)?, hour, minute, second })
}

/// Parses `YYYYMMDDhhmmss`, as used in certificates; `None` for any other text.
pub fn parse_digits(text: &str) -> Option<UnixSeconds> {
    let is_plain = text.len() == 14 && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
    let month = number(4, 6).filter(|month| is_plain && (1..=12).contains(month))?;
    let (day, hour) = (number(6, 8)?, number(8, 10)?);
    moment(&Civil { year: number(0, 4)?, month, day, hour, minute: number(10, 12)?, second: number(12, 14)? })
}

/// Date and time to unix seconds, the inverse of [`civil`].
fn moment(at: &Civil) -> Option<UnixSeconds> {
    let (years, months) = if at.month > 2 { (at.year, at.month - 3) } else { (at.year.checked_sub(1)?, at.month + 9) };
    let days = years * 365 + years / 4 - years / 100 + years / 400 + (153 * months + 2) / 5 + at.day.checked_sub(1)?;
    Some(days.checked_sub(719_468)? * 86_400 + at.hour * 3600 + at.minute * 60 + at.second)
}

/// RFC 3339 in UTC, e.g. `1994-11-06T08:49:37Z`.
pub fn rfc3339(at: UnixSeconds) -> String {
    let Civil { year, month, day, hour, minute, second } = civil(at);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times_are_formatted() {
        // The example of RFC 9110 section 5.6.7, then edges checked with GNU date.
        let moments = [
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37Z"),
            (0, "Thu, 01 Jan 1970 00:00:00 GMT", "1970-01-01T00:00:00Z"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT", "2000-02-29T00:00:00Z"),
            (1_709_251_199, "Thu, 29 Feb 2024 23:59:59 GMT", "2024-02-29T23:59:59Z"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT", "2100-03-01T00:00:00Z"),
        ];
        for (at, http, iso) in moments {
            assert_eq!((http_date(at).as_str(), rfc3339(at).as_str()), (http, iso));
        }
    }

    #[test]
    fn certificate_times_are_parsed() {
        assert_eq!(parse_digits("19941106084937"), Some(784_111_777));
        assert_eq!(parse_digits("21000301000000"), Some(4_107_542_400));
        for text in [
            "",
            "1994110608493",
            "19941306084937",
            "19940006084937",
            "19690101000000",
            "+1994110608493",
            "1994110608493Z",
        ] {
            assert_eq!(parse_digits(text), None, "{text}");
        }
    }

    #[test]
    fn http_dates_round_trip() {
        for at in (0..4_200_000_000).step_by(86_400 * 17 + 3_601).chain([784_111_777, 951_782_400, 4_107_542_400]) {
            assert_eq!(parse_http_date(&http_date(at)), Some(at));
        }
        for text in [
            "",
            "Sun, 06 Nov 1994 08:49:37",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun, 06 anF 1994 08:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 99999 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49 GMT",
        ] {
            assert_eq!(parse_http_date(text), None, "{text}");
        }
    }
}
