use fatfs::{Date, DateTime, Time, TimeProvider};

/// A clock that always shows one time.
#[derive(Debug)]
pub(super) struct Clock(DateTime);

/// 1980-01-01T00:00:00Z and 2107-12-31T23:59:58Z: the range of FAT's dates.
const FIRST: u64 = 315_532_800;
const LAST: u64 = 4_354_819_198;

impl Clock {
    /// The clock at this time (seconds since 1970, UTC), cut to the range of FAT's dates.
    pub(super) fn at(epoch: u64) -> Self {
        let epoch = epoch.clamp(FIRST, LAST);
        let second_of_day = epoch % 86400;
        let (mut year, mut day) = (1970, epoch / 86400);
        let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        while day >= 365 + u64::from(leap(year)) {
            day -= 365 + u64::from(leap(year));
            year += 1;
        }
        let mut month = 1;
        for days in [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30] {
            if day < days {
                break;
            }
            day -= days;
            month += 1;
        }
        let small = |n: u64| u16::try_from(n).unwrap_or(u16::MAX);
        Self(DateTime {
            date: Date { year: small(year), month, day: small(day + 1) },
            time: Time {
                hour: small(second_of_day / 3600),
                min: small(second_of_day / 60 % 60),
                sec: small(second_of_day % 60),
                millis: 0,
            },
        })
    }
}

impl TimeProvider for Clock {
    fn get_current_date(&self) -> Date {
        self.0.date
    }

    fn get_current_date_time(&self) -> DateTime {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_become_dates_within_the_range_of_fat() {
        for (epoch, wanted) in [
            (0, (1980, 1, 1, 0, 0, 0)),
            (951_782_400, (2000, 2, 29, 0, 0, 0)),
            (1_709_251_199, (2024, 2, 29, 23, 59, 59)),
            (1_709_251_200, (2024, 3, 1, 0, 0, 0)),
            (1_798_761_599, (2026, 12, 31, 23, 59, 59)),
            (4_107_542_400, (2100, 3, 1, 0, 0, 0)),
            (u64::MAX, (2107, 12, 31, 23, 59, 58)),
        ] {
            let DateTime { date, time } = Clock::at(epoch).0;
            assert_eq!((date.year, date.month, date.day, time.hour, time.min, time.sec), wanted, "{epoch}");
        }
    }
}
