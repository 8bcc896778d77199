//! `strftime` for chat templates, over a date that the request gives; the clock is never read.

use crate::{Error, Result};

/// A day of the Gregorian calendar, at midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Date {
    year: i64,
    month: i64,
    day: i64,
}

const MAX_PATTERN: usize = 1000;
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
const WEEKDAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

impl Date {
    /// Reads `YYYY-MM-DD`.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let refused = || Error::BadRequest(format!("date {text:?} is no day of the form 2026-03-09"));
        let digits = |part: &str, n: usize| {
            let ok = part.len() == n && part.bytes().all(|byte| byte.is_ascii_digit());
            ok.then(|| part.parse::<i64>().ok()).flatten()
        };
        let parts: Vec<&str> = text.split('-').collect();
        let [year, month, day] = parts[..] else {
            return Err(refused());
        };
        let date = match (digits(year, 4), digits(month, 2), digits(day, 2)) {
            (Some(year), Some(month), Some(day)) => Self { year, month, day },
            _ => return Err(refused()),
        };
        let valid = (1..=12).contains(&date.month) && (1..=date.month_days(date.month)).contains(&date.day);
        if valid {
            Ok(date)
        } else {
            Err(refused())
        }
    }

    fn month_days(self, month: i64) -> i64 {
        let leap = self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0);
        match month {
            2 => 28 + i64::from(leap),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }

    /// 1 to 366.
    fn day_of_year(self) -> i64 {
        (1..self.month).map(|month| self.month_days(month)).sum::<i64>() + self.day
    }

    /// 0 = Sunday.
    fn weekday(self) -> i64 {
        let before = self.year - 1;
        // 1 January of year 1 was a Monday
        (before * 365 + before / 4 - before / 100 + before / 400 + self.day_of_year()).rem_euclid(7)
    }

    /// Formats as Python's `strftime` in the C locale; the error names a directive that is not known.
    pub(super) fn format(self, pattern: &str) -> Result<String, String> {
        if pattern.len() > MAX_PATTERN {
            return Err(format!(
                "strftime_now has a pattern of {} bytes, {MAX_PATTERN} are allowed",
                pattern.len()
            ));
        }
        let mut out = String::new();
        let mut letters = pattern.chars();
        while let Some(c) = letters.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            let directive = letters.next();
            // %-d is %d without its zero
            let (directive, bare) = if directive == Some('-') {
                (letters.next(), true)
            } else {
                (directive, false)
            };
            let name = |names: &[&str], at: i64, short: bool| {
                let name = names[at as usize];
                if short {
                    name[..3].to_owned()
                } else {
                    name.to_owned()
                }
            };
            let number = |value: i64, width: usize| {
                if bare {
                    value.to_string()
                } else {
                    format!("{value:0width$}")
                }
            };
            out.push_str(&match directive {
                Some('d') => number(self.day, 2),
                Some('e') => format!("{:2}", self.day),
                Some('m') => number(self.month, 2),
                Some('y') => number(self.year % 100, 2),
                Some('Y') => self.year.to_string(),
                Some('j') => number(self.day_of_year(), 3),
                Some('b' | 'h') => name(&MONTHS, self.month - 1, true),
                Some('B') => name(&MONTHS, self.month - 1, false),
                Some('a') => name(&WEEKDAYS, self.weekday(), true),
                Some('A') => name(&WEEKDAYS, self.weekday(), false),
                Some('H' | 'M' | 'S') => number(0, 2),
                Some('I') => "12".to_owned(),
                Some('p') => "AM".to_owned(),
                Some('F') => format!("{:04}-{:02}-{:02}", self.year, self.month, self.day),
                Some('D') => format!("{:02}/{:02}/{:02}", self.month, self.day, self.year % 100),
                Some('T') => "00:00:00".to_owned(),
                Some('%') => "%".to_owned(),
                other => return Err(format!("strftime_now has no directive %{}", other.unwrap_or(' '))),
            });
        }
        Ok(out)
    }
}
