//! Why a schedule is refused.

const FIELDS: &str = "write minute (0-59), hour (0-23), day of month (1-31), month (1-12), day of week (0-7, 0 and 7 \
                      are Sunday): \"30 1 * * *\" is every day at 01:30";

/// Why a schedule is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Not five fields.
    #[error("a schedule has 5 fields, and this one has {fields}")]
    Fields {
        /// How many there are.
        fields: usize,
    },
    /// A field does not parse.
    #[error("the schedule {expression:?} cannot be read: {reason}")]
    Malformed {
        /// The fields as they are written.
        expression: String,
        /// What the parser says.
        reason: String,
    },
    /// Both the day of month and the day of week are restricted, which cron dialects read in two ways.
    #[error("both the day of month and the day of week are restricted, which could mean \"or\" or \"and\"")]
    AmbiguousDays {
        /// The day-of-week field.
        day_of_week: String,
    },
    /// No day ever fits.
    #[error("the schedule {expression:?} never runs")]
    NeverRuns {
        /// The fields as they are written.
        expression: String,
    },
    /// Two runs are less than five minutes apart.
    #[error("the schedule runs more often than every 5 minutes")]
    TooOften {
        /// Three runs that follow each other, as hours and minutes; the first two are too close.
        runs: [String; 3],
    },
    /// The time zone is not in the database.
    #[error("there is no time zone {name:?}")]
    UnknownZone {
        /// The name as it is written.
        name: String,
        /// The nearest name that exists.
        similar: Option<String>,
    },
}

impl ScheduleError {
    /// What is seen at its place.
    pub fn label(&self) -> String {
        match self {
            Self::Fields { .. } => "not five fields".to_owned(),
            Self::Malformed { .. } => "cannot be read".to_owned(),
            Self::AmbiguousDays { .. } => "means two things".to_owned(),
            Self::NeverRuns { .. } => "there is no such day".to_owned(),
            Self::TooOften { runs } => format!("would run at {}, …", runs.join(", ")),
            Self::UnknownZone { .. } => "not a time zone".to_owned(),
        }
    }

    /// What to write instead.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Fields { fields: 1 } => Some(format!("names such as @daily stand for nothing here; {FIELDS}")),
            Self::Fields { fields: 6 } => Some(format!("there is no field for seconds; {FIELDS}")),
            Self::Fields { .. } | Self::Malformed { .. } => Some(FIELDS.to_owned()),
            Self::AmbiguousDays { day_of_week } => {
                Some(format!("write `+{day_of_week}` as the day of week if both must fit; for \"or\", write two plans"))
            }
            Self::NeverRuns { .. } => Some("check the day of month against the month".to_owned()),
            Self::TooOften { .. } => Some("use at least 5 minutes, such as \"*/5 * * * *\"".to_owned()),
            Self::UnknownZone { similar: Some(similar), .. } => Some(format!("did you mean \"{similar}\"?")),
            Self::UnknownZone { similar: None, .. } => {
                Some("use an IANA name such as \"Europe/Warsaw\" or \"UTC\"".to_owned())
            }
        }
    }
}
