//! CEL rules that several kinds share (Kubernetes 1.31's libraries of IP addresses and CIDRs).

use kube::core::Rule;

/// A text is a CIDR without host bits.
pub(crate) fn cidr() -> Rule {
    Rule::new("isCIDR(self) && cidr(self) == cidr(self).masked()")
        .message("must be address/length without host bits, for instance 10.0.0.0/24")
}

/// Every entry of a list is a CIDR without host bits.
pub(crate) fn cidrs() -> Rule {
    Rule::new("self.all(c, isCIDR(c) && cidr(c) == cidr(c).masked())")
        .message("each must be address/length without host bits, for instance 10.0.0.0/24")
}

/// A text is an address.
pub(crate) fn address() -> Rule {
    Rule::new("isIP(self)").message("must be an IPv4 or IPv6 address")
}

/// A text is a router id: four octets in dotted form, not 0.0.0.0 (RFC 6286 §2.1).
pub(crate) fn router_id() -> Rule {
    Rule::new("isIP(self) && ip(self).family() == 4 && self != '0.0.0.0'")
        .message("must be four octets in dotted form, not 0.0.0.0")
}

/// A hold time is zero or at least three seconds (RFC 4271 §4.2).
pub(crate) fn hold_time() -> Rule {
    Rule::new("self == 0 || self >= 3").message("must be 0 or at least 3 seconds")
}

/// `keepaliveTime` is at most `holdTime`.
pub(crate) fn keepalive() -> Rule {
    Rule::new(
        "!has(self.keepaliveTime) || !has(self.holdTime) || self.keepaliveTime <= self.holdTime",
    )
    .message("keepaliveTime: must not be over holdTime")
    .field_path(".keepaliveTime")
}

/// A key that api's readers may expect but that is not built yet.
pub(crate) fn not_built(key: &str) -> Rule {
    Rule::new(format!("!has(self.{key})"))
        .message(&*format!("{key}: not built yet"))
        .field_path(format!(".{key}"))
}

/// The object's spec never changes.
pub(crate) fn immutable() -> Rule {
    Rule::new("self == oldSelf").message("is immutable")
}

/// A field that may be left out never changes.
pub(crate) fn immutable_field(key: &str) -> Rule {
    Rule::new(format!(
        "has(self.{key}) == has(oldSelf.{key}) && (!has(self.{key}) || self.{key} == oldSelf.{key})"
    ))
    .message(&*format!("{key}: is immutable"))
    .field_path(format!(".{key}"))
}
