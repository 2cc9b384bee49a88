//! Keys of the SASL mechanism OAUTHBEARER.
//!
//! Invariant: they are remembered and shown (secrets hidden) and do nothing before SASL exists.

use super::entry::{NO_SASL, boolean, class, int, list, long, password, string, unset};
use crate::model::config_key::{ConfigKey, ConfigType};

/// The keys.
pub(super) const KEYS: &[ConfigKey] = &[
    unset("sasl.oauthbearer.token.endpoint.url", ConfigType::String)
        .doc("Where a token is asked for.")
        .deviates(NO_SASL),
    unset("sasl.oauthbearer.jwks.endpoint.url", ConfigType::String)
        .doc("Where the keys that sign tokens are found.")
        .deviates(NO_SASL),
    long("sasl.oauthbearer.jwks.endpoint.refresh.ms", "3600000")
        .doc("How often these keys are fetched anew.")
        .deviates(NO_SASL),
    long("sasl.oauthbearer.jwks.endpoint.retry.backoff.ms", "100")
        .doc("The first wait between two tries to fetch them.")
        .deviates(NO_SASL),
    long(
        "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms",
        "10000",
    )
    .doc("The longest wait between two tries to fetch them.")
    .deviates(NO_SASL),
    list("sasl.oauthbearer.expected.audience", "")
        .doc("The audiences of which a token must name one.")
        .deviates(NO_SASL),
    unset("sasl.oauthbearer.expected.issuer", ConfigType::String)
        .doc("The issuer a token must come from.")
        .deviates(NO_SASL),
    int("sasl.oauthbearer.clock.skew.seconds", "30")
        .doc("How far the issuer's clock may differ from ours.")
        .deviates(NO_SASL),
    string("sasl.oauthbearer.scope.claim.name", "scope")
        .doc("The claim that holds a token's scope.")
        .deviates(NO_SASL),
    string("sasl.oauthbearer.sub.claim.name", "sub")
        .doc("The claim that holds a token's user.")
        .deviates(NO_SASL),
    unset("sasl.oauthbearer.scope", ConfigType::String)
        .doc("The scope a token is asked for with.")
        .deviates(NO_SASL),
    unset(
        "sasl.oauthbearer.client.credentials.client.id",
        ConfigType::String,
    )
    .doc("The client id a token is asked for with.")
    .deviates(NO_SASL),
    password("sasl.oauthbearer.client.credentials.client.secret")
        .doc("The secret a token is asked for with.")
        .deviates(NO_SASL),
    class("sasl.oauthbearer.jwt.retriever.class")
        .doc("In Kafka, the class that asks for tokens.")
        .deviates(OWN_CLASS),
    class("sasl.oauthbearer.jwt.validator.class")
        .doc("In Kafka, the class that checks tokens.")
        .deviates(OWN_CLASS),
    unset("sasl.oauthbearer.assertion.file", ConfigType::String)
        .doc("A file with a ready assertion to ask for tokens with.")
        .deviates(NO_SASL),
    unset(
        "sasl.oauthbearer.assertion.template.file",
        ConfigType::String,
    )
    .doc("A file with the fixed parts of an assertion.")
    .deviates(NO_SASL),
    unset(
        "sasl.oauthbearer.assertion.private.key.file",
        ConfigType::String,
    )
    .doc("A file with the key that signs assertions.")
    .deviates(NO_SASL),
    password("sasl.oauthbearer.assertion.private.key.passphrase")
        .doc("The password of that key.")
        .deviates(NO_SASL),
    string("sasl.oauthbearer.assertion.algorithm", "RS256")
        .one_of(&["RS256", "ES256", "rs256", "es256"])
        .doc("The algorithm assertions are signed with.")
        .deviates(NO_SASL),
    unset("sasl.oauthbearer.assertion.claim.aud", ConfigType::String)
        .doc("The audience named in an assertion.")
        .deviates(NO_SASL),
    unset("sasl.oauthbearer.assertion.claim.iss", ConfigType::String)
        .doc("The issuer named in an assertion.")
        .deviates(NO_SASL),
    unset("sasl.oauthbearer.assertion.claim.sub", ConfigType::String)
        .doc("The subject named in an assertion.")
        .deviates(NO_SASL),
    int("sasl.oauthbearer.assertion.claim.exp.seconds", "300")
        .between(0, 86_400)
        .doc("How long an assertion holds.")
        .deviates(NO_SASL),
    int("sasl.oauthbearer.assertion.claim.nbf.seconds", "60")
        .between(0, 3600)
        .doc("How far back an assertion begins to hold.")
        .deviates(NO_SASL),
    boolean("sasl.oauthbearer.assertion.claim.jti.include", "false")
        .doc("Whether an assertion carries a number of its own.")
        .deviates(NO_SASL),
];

const OWN_CLASS: &str =
    "Java classes cannot be loaded; leave it out. Default null where Kafka names its own class.";
