//! The text that Prometheus reads, in the form that it asks for.

use std::fmt::{Display, Write};

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

/// Labels of a figure.
pub(super) type Labels = Vec<(&'static str, String)>;

/// One label.
pub(super) fn label(name: &'static str, value: impl Display) -> Labels {
    vec![(name, value.to_string())]
}

/// A form of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// The form of Prometheus that everything reads.
    Plain,
}

impl Form {
    /// The form for whoever accepts this.
    pub(super) fn accepted(accept: Option<&str>) -> Self {
        let open = accept.is_some_and(|accept| accept.contains("application/openmetrics-text"));
        if open { Self::OpenMetrics } else { Self::Plain }
    }

    /// Its name.
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Plain => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// Everything that is registered.
    pub(super) fn text(self, registry: &Registry) -> String {
        let mut text = String::new();
        encode(&mut text, registry).expect("strings take everything");
        match self {
            Self::OpenMetrics => text,
            Self::Plain => plain(&text),
        }
    }
}

/// OpenMetrics in the older form: there, a counter has the name of its samples.
fn plain(open: &str) -> String {
    let mut text = String::with_capacity(open.len());
    let mut help = None;
    for line in open.lines().filter(|line| *line != "# EOF") {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
            continue;
        }
        let declared = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '));
        let Some((name, kind)) = declared else {
            text.push_str(line);
            text.push('\n');
            continue;
        };
        let end = if kind == "counter" { "_total" } else { "" };
        if let Some((_, words)) = help.take() {
            writeln!(text, "# HELP {name}{end} {words}").expect("strings take everything");
        }
        writeln!(text, "# TYPE {name}{end} {kind}").expect("strings take everything");
    }
    text
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;
    use prometheus_client::metrics::family::Family;
    use prometheus_client::metrics::gauge::Gauge;

    use super::*;

    fn registry() -> Registry {
        let mut registry = Registry::default();
        let runs = Family::<Labels, Counter>::default();
        runs.get_or_create(&label("plan", "a \"b\"\nc\\")).inc_by(7);
        registry.register("xopero_runs", "Runs", runs);
        let size = Gauge::<i64>::default();
        size.set(-3);
        registry.register("xopero_size", "A size", size);
        registry
    }

    #[test]
    fn hostile_labels_stay_on_their_line() {
        let text = Form::OpenMetrics.text(&registry());
        assert_eq!(
            text,
            "# HELP xopero_runs Runs.\n# TYPE xopero_runs counter\nxopero_runs_total{plan=\"a \\\"b\\\"\\nc\\\\\"} 7\n\
             # HELP xopero_size A size.\n# TYPE xopero_size gauge\nxopero_size -3\n# EOF\n"
        );
    }

    #[test]
    fn the_plain_form_calls_a_counter_by_the_name_of_its_samples() {
        let text = Form::Plain.text(&registry());
        assert_eq!(
            text,
            "# HELP xopero_runs_total Runs.\n# TYPE xopero_runs_total counter\n\
             xopero_runs_total{plan=\"a \\\"b\\\"\\nc\\\\\"} 7\n\
             # HELP xopero_size A size.\n# TYPE xopero_size gauge\nxopero_size -3\n"
        );
        assert_eq!(Form::accepted(None), Form::Plain);
        assert_eq!(Form::accepted(Some("text/plain")), Form::Plain);
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.4,*/*;q=0.1";
        assert_eq!(Form::accepted(Some(prometheus)), Form::OpenMetrics);
    }
}
