//! Keys of TLS.
//!
//! Invariant: they are remembered and shown (secrets hidden); a listener that would need them is
//! refused by `config::rules`, so none of them pretends safety.

use super::entry::{NO_TLS, boolean, class, list, password, string, unset};
use crate::model::config_key::{ConfigKey, ConfigType};

/// The keys.
pub(super) const KEYS: &[ConfigKey] = &[
    unset("ssl.keystore.location", ConfigType::String)
        .at_start_here()
        .doc("The file with this broker's key and certificates.")
        .deviates(NO_TLS),
    string("ssl.keystore.type", "JKS")
        .at_start_here()
        .doc("The format of that file: JKS, PKCS12 or PEM.")
        .deviates(NO_TLS),
    password("ssl.keystore.password")
        .at_start_here()
        .doc("The password of that file.")
        .deviates(NO_TLS),
    password("ssl.keystore.key")
        .at_start_here()
        .doc("This broker's private key itself, in PEM.")
        .deviates(NO_TLS),
    password("ssl.keystore.certificate.chain")
        .at_start_here()
        .doc("This broker's certificates themselves, in PEM.")
        .deviates(NO_TLS),
    password("ssl.key.password")
        .at_start_here()
        .doc("The password of the private key.")
        .deviates(NO_TLS),
    unset("ssl.truststore.location", ConfigType::String)
        .at_start_here()
        .doc("The file with the certificates that are trusted.")
        .deviates(NO_TLS),
    string("ssl.truststore.type", "JKS")
        .at_start_here()
        .doc("The format of that file: JKS, PKCS12 or PEM.")
        .deviates(NO_TLS),
    password("ssl.truststore.password")
        .at_start_here()
        .doc("The password of that file.")
        .deviates(NO_TLS),
    password("ssl.truststore.certificates")
        .at_start_here()
        .doc("The trusted certificates themselves, in PEM.")
        .deviates(NO_TLS),
    string("ssl.client.auth", "none")
        .one_of(&["required", "requested", "none"])
        .at_start_here()
        .doc("Whether clients must, may or need not show a certificate.")
        .deviates(NO_TLS),
    string("ssl.protocol", "TLSv1.3")
        .at_start_here()
        .doc("The newest TLS version.")
        .deviates(NO_TLS),
    list("ssl.enabled.protocols", "TLSv1.2,TLSv1.3")
        .at_start_here()
        .doc("The TLS versions that are taken.")
        .deviates(NO_TLS),
    list("ssl.cipher.suites", "")
        .at_start_here()
        .doc("The cipher suites that are taken; empty is the default ones.")
        .deviates(NO_TLS),
    string("ssl.endpoint.identification.algorithm", "https")
        .at_start_here()
        .doc("How the name in another broker's certificate is checked; empty is not at all.")
        .deviates(NO_TLS),
    string("ssl.principal.mapping.rules", "DEFAULT")
        .doc("How the name in a client's certificate becomes a user name.")
        .deviates(NO_TLS),
    boolean("ssl.allow.dn.changes", "false")
        .doc("Whether a replaced certificate may have another subject.")
        .deviates(NO_TLS),
    boolean("ssl.allow.san.changes", "false")
        .doc("Whether a replaced certificate may have other alternative names.")
        .deviates(NO_TLS),
    unset("ssl.provider", ConfigType::String)
        .at_start_here()
        .doc("In Kafka, the Java security provider.")
        .deviates(NO_TLS),
    string("ssl.keymanager.algorithm", "SunX509")
        .at_start_here()
        .doc("In Kafka, the Java key manager.")
        .deviates(NO_TLS),
    string("ssl.trustmanager.algorithm", "PKIX")
        .at_start_here()
        .doc("In Kafka, the Java trust manager.")
        .deviates(NO_TLS),
    unset("ssl.secure.random.implementation", ConfigType::String)
        .at_start_here()
        .doc("In Kafka, the Java source of randomness.")
        .deviates(NO_TLS),
    class("ssl.engine.factory.class")
        .at_start_here()
        .doc("In Kafka, a class that makes TLS engines."),
];
