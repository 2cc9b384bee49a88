//! Keys of authentication, authorization and tokens (without those of OAUTHBEARER and TLS).
//!
//! Invariant: an authorizer or a token secret is refused while nothing enforces it.

use super::entry::{
    NO_CLASSES, NO_SASL, class, double, int, list, long, password, short, string, unset,
};
use crate::model::config_key::{ConfigKey, ConfigType};

const NO_AUTHORIZER: &str = "Authorization is not built yet, and a broker that seems to enforce it would be worse than none; leave it out.";
const NO_TOKENS: &str = "Without effect until delegation tokens are built.";
const NO_KERBEROS: &str = "Without effect: there is no Kerberos.";

/// The keys.
pub(super) const KEYS: &[ConfigKey] = &[
    string("authorizer.class.name", "")
        .only("", NO_AUTHORIZER)
        .doc("In Kafka, the class that decides who may do what."),
    unset("principal.builder.class", ConfigType::Class)
        .at_start_here()
        .doc("In Kafka, the class that makes a user name of a connection.")
        .only("", NO_CLASSES)
        .deviates("Java classes cannot be loaded; leave it out. Default null where Kafka names its own class."),
    unset("security.providers", ConfigType::String)
        .only("", NO_CLASSES)
        .doc("In Kafka, classes that bring algorithms."),
    password("delegation.token.secret.key")
        .only("", "Delegation tokens are not built yet; leave it out.")
        .doc("The secret from which delegation tokens are made."),
    long("delegation.token.max.lifetime.ms", "604800000")
        .at_least(1)
        .doc("How long a delegation token can be renewed.")
        .deviates(NO_TOKENS),
    long("delegation.token.expiry.time.ms", "86400000")
        .at_least(1)
        .doc("How long a delegation token holds without being renewed.")
        .deviates(NO_TOKENS),
    long("delegation.token.expiry.check.interval.ms", "3600000")
        .at_least(1)
        .doc("How often tokens are looked through for expired ones.")
        .deviates(NO_TOKENS),
    list("sasl.enabled.mechanisms", "GSSAPI")
        .at_start_here()
        .doc("The SASL mechanisms clients may use.")
        .deviates(NO_SASL),
    password("sasl.jaas.config")
        .at_start_here()
        .doc("The login of one mechanism of one listener, in Java's format; a secret.")
        .deviates(NO_SASL),
    string("sasl.mechanism.inter.broker.protocol", "GSSAPI")
        .at_start_here()
        .doc("The mechanism between brokers.")
        .deviates(NO_SASL),
    string("sasl.mechanism.controller.protocol", "GSSAPI")
        .doc("The mechanism between brokers and controllers.")
        .deviates(NO_SASL),
    int("sasl.server.max.receive.size", "524288")
        .doc("The largest message of an authentication under way.")
        .deviates(NO_SASL),
    class("sasl.server.callback.handler.class")
        .doc("In Kafka, a class that checks credentials."),
    class("sasl.client.callback.handler.class")
        .doc("In Kafka, a class that provides credentials."),
    class("sasl.login.callback.handler.class")
        .doc("In Kafka, a class that provides credentials for a login."),
    class("sasl.login.class").doc("In Kafka, a class that logs in."),
    unset("sasl.login.connect.timeout.ms", ConfigType::Int)
        .doc("How long a connection to a login service may take.")
        .deviates(NO_SASL),
    unset("sasl.login.read.timeout.ms", ConfigType::Int)
        .doc("How long the answer of a login service may take.")
        .deviates(NO_SASL),
    long("sasl.login.retry.backoff.ms", "100")
        .doc("The first wait between two tries of a login.")
        .deviates(NO_SASL),
    long("sasl.login.retry.backoff.max.ms", "10000")
        .doc("The longest wait between two tries of a login.")
        .deviates(NO_SASL),
    double("sasl.login.refresh.window.factor", "0.8")
        .fraction(0.5, 1.0)
        .at_start_here()
        .doc("The part of a credential's life after which it is renewed.")
        .deviates(NO_SASL),
    double("sasl.login.refresh.window.jitter", "0.05")
        .fraction(0.0, 0.25)
        .at_start_here()
        .doc("The random part of that time.")
        .deviates(NO_SASL),
    short("sasl.login.refresh.min.period.seconds", "60")
        .between(0, 900)
        .at_start_here()
        .doc("The shortest time between two renewals.")
        .deviates(NO_SASL),
    short("sasl.login.refresh.buffer.seconds", "300")
        .between(0, 3600)
        .at_start_here()
        .doc("How long before its end a credential is renewed at the latest.")
        .deviates(NO_SASL),
    unset("sasl.kerberos.service.name", ConfigType::String)
        .at_start_here()
        .doc("The Kerberos name of this service.")
        .deviates(NO_KERBEROS),
    string("sasl.kerberos.kinit.cmd", "/usr/bin/kinit")
        .at_start_here()
        .doc("The path of kinit.")
        .deviates(NO_KERBEROS),
    double("sasl.kerberos.ticket.renew.window.factor", "0.8")
        .at_start_here()
        .doc("The part of a ticket's life after which it is renewed.")
        .deviates(NO_KERBEROS),
    double("sasl.kerberos.ticket.renew.jitter", "0.05")
        .at_start_here()
        .doc("The random part of that time.")
        .deviates(NO_KERBEROS),
    long("sasl.kerberos.min.time.before.relogin", "60000")
        .at_start_here()
        .doc("The wait between two logins.")
        .deviates(NO_KERBEROS),
    list("sasl.kerberos.principal.to.local.rules", "DEFAULT")
        .at_start_here()
        .doc("How a Kerberos name becomes a user name.")
        .deviates(NO_KERBEROS),
];
