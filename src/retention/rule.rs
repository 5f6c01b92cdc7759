//! The rules, and the periods that they count.

use jiff::Zoned;
use jiff::civil::Date;

use crate::model::KeepRules;

/// One rule of a retention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// The newest ones.
    Last,
    /// The newest of each hour.
    Hourly,
    /// The newest of each day.
    Daily,
    /// The newest of each week, which begins on Monday.
    Weekly,
    /// The newest of each month.
    Monthly,
    /// The newest of each year.
    Yearly,
}

/// A period of a rule, equal for two times exactly if they are in the same one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Period {
    /// No two snapshots share it.
    Own,
    /// An hour: in the night when clocks are set back, the same hour comes twice.
    Hour(Date, i8, i32),
    /// A day.
    Day(Date),
    /// A year with a number inside it.
    Part(i16, i8),
}

impl Rule {
    /// Every rule, the shortest period first.
    pub const ALL: [Self; 6] = [Self::Last, Self::Hourly, Self::Daily, Self::Weekly, Self::Monthly, Self::Yearly];

    /// The word of the language.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Last => "last",
            Self::Hourly => "hourly",
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
            Self::Yearly => "yearly",
        }
    }

    /// How many snapshots it keeps; none means that it is not in use.
    pub const fn places(self, keep: KeepRules) -> u32 {
        let KeepRules { last, hourly, daily, weekly, monthly, yearly } = keep;
        match self {
            Self::Last => last,
            Self::Hourly => hourly,
            Self::Daily => daily,
            Self::Weekly => weekly,
            Self::Monthly => monthly,
            Self::Yearly => yearly,
        }
    }

    pub(super) fn period(self, at: &Zoned) -> Period {
        let date = at.date();
        match self {
            Self::Last => Period::Own,
            Self::Hourly => Period::Hour(date, at.hour(), at.offset().seconds()),
            Self::Daily => Period::Day(date),
            Self::Weekly => {
                let week = date.iso_week_date();
                Period::Part(week.year(), week.week())
            }
            Self::Monthly => Period::Part(date.year(), date.month()),
            Self::Yearly => Period::Part(date.year(), 0),
        }
    }
}
