//! Judges one value against its key.

use crate::model::config_key::{Allowed, ConfigKey, ConfigType};

/// Whether `text` is a value of `key`; if not, a sentence with key, value and way out.
pub(super) fn judge(key: &ConfigKey, text: &str) -> Result<(), String> {
    let name = key.name;
    let refuse = |wanted: String| Err(format!("{name}={text} is not allowed: {wanted}"));
    let number = text.trim().parse::<i64>();
    match key.config_type {
        ConfigType::Boolean if !matches!(text.to_ascii_lowercase().as_str(), "true" | "false") => {
            return refuse("it must be true or false".to_owned());
        }
        ConfigType::Short | ConfigType::Int | ConfigType::Long => {
            let (least, most) = match key.config_type {
                ConfigType::Short => (i64::from(i16::MIN), i64::from(i16::MAX)),
                ConfigType::Int => (i64::from(i32::MIN), i64::from(i32::MAX)),
                _ => (i64::MIN, i64::MAX),
            };
            if !number
                .as_ref()
                .is_ok_and(|number| (least..=most).contains(number))
            {
                return refuse(format!("it must be a whole number from {least} to {most}"));
            }
        }
        ConfigType::Double if text.trim().parse::<f64>().is_err() => {
            return refuse("it must be a number, for example 0.5".to_owned());
        }
        _ => {}
    }
    let entries = || {
        text.split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
    };
    match key.allowed {
        Allowed::Any => Ok(()),
        Allowed::Between(least, most) => match number {
            Ok(number) if (least..=most).contains(&number) => Ok(()),
            _ => refuse(format!("it must lie between {least} and {most}")),
        },
        Allowed::Fraction(least, most) => match text.trim().parse::<f64>() {
            Ok(number) if (least..=most).contains(&number) => Ok(()),
            _ => refuse(format!("it must lie between {least} and {most}")),
        },
        Allowed::OneOf(texts) if texts.contains(&text.trim()) => Ok(()),
        Allowed::OneOf(texts) => refuse(format!("it must be one of {}", texts.join(", "))),
        Allowed::ListOf(texts) if entries().all(|entry| texts.contains(&entry)) => Ok(()),
        Allowed::ListOf(texts) => refuse(format!("its entries must be of {}", texts.join(", "))),
        Allowed::NotEmpty if entries().next().is_some() => Ok(()),
        Allowed::NotEmpty => refuse("it needs at least one entry".to_owned()),
        Allowed::Only(only, _) if text.trim().eq_ignore_ascii_case(only) => Ok(()),
        Allowed::Only(_, why) => refuse(why.to_owned()),
    }
}
