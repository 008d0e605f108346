//! Which addresses are public.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Networks of IPv4 that are not public, from the IANA IPv4 special-purpose address registry, and multicast.
const NOT_PUBLIC_V4: [([u8; 4], u8); 15] = [
    ([0, 0, 0, 0], 8),       // this network
    ([10, 0, 0, 0], 8),      // private
    ([100, 64, 0, 0], 10),   // shared by the customers of a carrier
    ([127, 0, 0, 0], 8),     // loopback
    ([169, 254, 0, 0], 16),  // link-local, and the metadata services of clouds
    ([172, 16, 0, 0], 12),   // private
    ([192, 0, 0, 0], 24),    // protocol assignments
    ([192, 0, 2, 0], 24),    // documentation
    ([192, 88, 99, 0], 24),  // relays of 6to4
    ([192, 168, 0, 0], 16),  // private
    ([198, 18, 0, 0], 15),   // benchmarks
    ([198, 51, 100, 0], 24), // documentation
    ([203, 0, 113, 0], 24),  // documentation
    ([224, 0, 0, 0], 4),     // multicast
    ([240, 0, 0, 0], 4),     // reserved, and broadcast
];

/// Networks in the global unicast range of IPv6 that are not public.
const NOT_PUBLIC_V6: [([u16; 3], u8); 4] = [
    ([0x2001, 0x0000, 0], 23), // protocol assignments: Teredo, benchmarks, ORCHID and others
    ([0x2001, 0x0db8, 0], 32), // documentation
    ([0x2002, 0x0000, 0], 16), // 6to4: leads to an address of IPv4
    ([0x3fff, 0x0000, 0], 20), // documentation
];

/// Whether an address belongs to a host on the public internet.
///
/// An IPv6 address that carries one of IPv4 and is still in use (mapped, and NAT64 as `64:ff9b::/96`, which is
/// how hosts in networks without IPv4 see it) is as public as that one. Teredo, 6to4 and the long-dead
/// compatible form are never public: no server is reached that way.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let bits = address.to_bits();
    !NOT_PUBLIC_V4.iter().any(|(network, length)| {
        let network = Ipv4Addr::from(*network).to_bits();
        (bits ^ network) >> (32 - length) == 0
    })
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(embedded) = embedded_v4(address) {
        return is_public_v4(embedded);
    }
    // The rest is turned round: only 2000::/3 is assigned to public hosts at all.
    let bits = address.to_bits();
    let is_global_unicast = bits >> 125 == 1;
    is_global_unicast
        && !NOT_PUBLIC_V6.iter().any(|([a, b, c], length)| {
            let network = Ipv6Addr::new(*a, *b, *c, 0, 0, 0, 0, 0).to_bits();
            (bits ^ network) >> (128 - length) == 0
        })
}

fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn public(text: &str) -> bool {
        is_public(text.parse().unwrap_or_else(|_| panic!("{text} is no address")))
    }

    #[test]
    fn networks_end_where_they_end() {
        for (inside, outside) in [
            ("0.0.0.0 0.255.255.255", "1.0.0.0"),
            ("10.0.0.0 10.255.255.255", "9.255.255.255 11.0.0.0"),
            ("100.64.0.0 100.127.255.255", "100.63.255.255 100.128.0.0"),
            ("127.0.0.0 127.255.255.255", "126.255.255.255 128.0.0.0"),
            ("169.254.0.0 169.254.169.254 169.254.255.255", "169.253.255.255 169.255.0.0"),
            ("172.16.0.0 172.31.255.255", "172.15.255.255 172.32.0.0"),
            ("192.0.0.0 192.0.0.255 192.0.2.0 192.0.2.255", "191.255.255.255 192.0.1.0 192.0.3.0"),
            ("192.88.99.1", "192.88.98.255 192.88.100.0"),
            ("192.168.0.0 192.168.255.255", "192.167.255.255 192.169.0.0"),
            ("198.18.0.0 198.19.255.255", "198.17.255.255 198.20.0.0"),
            ("198.51.100.7 203.0.113.255", "198.51.99.255 198.51.101.0 203.0.112.255 203.0.114.0"),
            ("224.0.0.0 239.255.255.255 240.0.0.0 255.255.255.255", "223.255.255.255"),
            (":: ::1 ::127.0.0.1 ::8.8.8.8 ::ffff:0:8.8.8.8", "2000::"),
            ("::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254", "::ffff:8.8.8.8"),
            ("64:ff9b::127.0.0.1 64:ff9b::192.168.0.1 64:ff9b:1::8.8.8.8", "64:ff9b::8.8.8.8"),
            ("2001:: 2001:0:808:808::1 2001:2::1 2001:20::1 2001:1ff:ffff::1", "2001:200::1"),
            ("2001:db8:: 2001:db8:ffff:ffff::1", "2001:db7:ffff::1 2001:db9::"),
            ("2002:: 2002:7f00:1:: 2002:808:808::1", "2003::1"),
            ("3fff:: 3fff:fff:ffff::1", "3fff:1000:: 3ffe::1"),
            ("fc00:: fdff:ffff::1 fd00:ec2::254 fe80::1 febf::1 fec0::1 ff02::1", "2606:4700::1111"),
            ("100::1 4000::1 5f00::1 8000::1", "2a00:1450::1"),
        ] {
            for address in inside.split(' ') {
                assert!(!public(address), "{address}");
            }
            for address in outside.split(' ') {
                assert!(public(address), "{address}");
            }
        }
    }

    proptest! {
        #[test]
        fn nothing_that_the_standard_library_knows_as_special_is_public(bits: u32, wide: u128) {
            let four = Ipv4Addr::from_bits(bits);
            let special = four.is_private() || four.is_loopback() || four.is_link_local() || four.is_multicast()
                || four.is_broadcast() || four.is_documentation() || four.is_unspecified();
            prop_assert!(!special || !is_public(four.into()));
            prop_assert_eq!(is_public(four.to_ipv6_mapped().into()), is_public(four.into()));
            prop_assert!(!is_public(four.to_ipv6_compatible().into()));
            let six = Ipv6Addr::from_bits(wide);
            let special = six.is_loopback() || six.is_multicast() || six.is_unspecified()
                || six.is_unique_local() || six.is_unicast_link_local();
            prop_assert!(!special || !is_public(six.into()));
        }
    }
}
