//! The lists that come with the program, embedded in it.

/// A list that comes with the program.
#[derive(Clone, Copy, Debug)]
pub struct Shipped {
    /// What it is named by.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
}

macro_rules! shipped {
    ($($name:literal)*) => {
        /// All of them, `levels` first.
        pub const LISTS: &[Shipped] =
            &[$(Shipped { name: $name, text: include_str!(concat!("../../filters/", $name, ".list")) }),*];
    };
}

shipped! {
    "levels"
    "heartbeat" "cache" "k8s-probes" "nginx-health" "elb-health" "prometheus-scrape" "systemd-chatter" "cron-session"
    "gc-java" "gc-go" "gc-node" "dns-retry" "progress-bars"
}

/// The list that is on unless it is switched off: what is critical and what is an anomaly.
pub const LEVELS: &str = "levels";

/// The shipped list of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Shipped> {
    LISTS.iter().find(|list| list.name == name)
}

#[cfg(test)]
mod tests {
    use super::super::classify::decide_effect;
    use super::super::list::{self, Effect};
    use super::super::rules::{RuleSet, Scratch};
    use super::super::{Stream, lint};
    use super::*;

    fn parse(shipped: &Shipped) -> list::List {
        list::parse(shipped.name, shipped.text.as_bytes(), &mut |name, _| {
            let found = find(name).ok_or("no such list")?;
            Ok((found.name.to_owned(), found.text.as_bytes().to_vec()))
        })
        .unwrap_or_else(|mistakes| panic!("{mistakes:#?}"))
    }

    #[test]
    fn samples_get_the_class_of_their_section() {
        for shipped in LISTS {
            let list = parse(shipped);
            let positive = list.samples.iter().filter(|s| s.positive).count();
            assert!(positive > 0 && positive < list.samples.len(), "{}: samples of both kinds", shipped.name);
            let set = RuleSet::new(list.rules);
            for sample in &list.samples {
                let effect = decide_effect(&set, &sample.line, Stream::Stdout, &mut Scratch::default());
                let line = String::from_utf8_lossy(&sample.line);
                assert_eq!(effect == Some(sample.effect), sample.positive, "{}: {effect:?}: {line}", sample.place);
            }
        }
    }

    #[test]
    fn levels_fits_the_fast_search() {
        let list = parse(find(LEVELS).unwrap());
        assert!(list.rules.iter().all(|r| matches!(r.effect, Effect::Critical | Effect::Anomaly | Effect::Keep)));
        assert_eq!(RuleSet::new(list.rules).engines(), ("none".into(), "teddy".into()));
    }

    #[test]
    fn no_list_warns() {
        let critical = parse(find(LEVELS).unwrap());
        for shipped in LISTS {
            let warnings = lint::check(&parse(shipped).rules, &critical.samples);
            assert!(warnings.is_empty(), "{}: {warnings:#?}", shipped.name);
        }
    }

    #[test]
    fn no_list_swallows_what_levels_calls_critical() {
        let levels = parse(find(LEVELS).unwrap());
        let heavy: Vec<_> = levels.samples.iter().filter(|s| s.positive && s.effect == Effect::Critical).collect();
        for shipped in LISTS {
            let mut rules = levels.rules.clone();
            rules.extend(parse(shipped).rules);
            let set = RuleSet::new(rules);
            for sample in &heavy {
                let effect = decide_effect(&set, &sample.line, Stream::Stderr, &mut Scratch::default());
                let line = String::from_utf8_lossy(&sample.line);
                assert_eq!(effect, Some(Effect::Critical), "{} with {}: {line}", sample.place, shipped.name);
            }
        }
    }
}
