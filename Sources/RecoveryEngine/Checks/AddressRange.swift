import Glibc

/// A range of addresses, as firewalls are told it: "192.0.2.0/24", "2001:db8::/32", or one address.
package struct AddressRange: Hashable, Sendable, CustomStringConvertible {
    package let description: String
    /// 4 or 16.
    private let bytes: [UInt8]
    private let length: Int

    /// Reads a range; nil when the text is none, or has bits set behind its length.
    package init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), let bytes = Self.parse(String(parts[0])) else { return nil }
        var length = bytes.count * 8
        if parts.count == 2 {
            guard let given = Int(parts[1]), parts[1].allSatisfy(\.isNumber), (0...length).contains(given) else {
                return nil
            }
            length = given
        }
        self.bytes = bytes
        self.length = length
        description = text
        // "10.0.0.1/8" is more likely a slip than a range.
        guard (length..<bytes.count * 8).allSatisfy({ bytes[$0 / 8] & (0x80 >> UInt8($0 % 8)) == 0 }) else {
            return nil
        }
    }

    /// Whether the address, a number of either family, lies in the range.
    package func contains(_ address: String) -> Bool {
        guard let other = Self.parse(address), other.count == bytes.count else { return false }
        return (0..<length).allSatisfy { bit in
            let mask: UInt8 = 0x80 >> UInt8(bit % 8)
            return other[bit / 8] & mask == bytes[bit / 8] & mask
        }
    }

    private static func parse(_ text: String) -> [UInt8]? {
        // A number of an interface ("fe80::1%eth0") says nothing about the address.
        let number = String(text.prefix { $0 != "%" })
        var four = in_addr()
        if inet_pton(AF_INET, number, &four) == 1 { return withUnsafeBytes(of: &four) { Array($0) } }
        var six = in6_addr()
        if inet_pton(AF_INET6, number, &six) == 1 { return withUnsafeBytes(of: &six) { Array($0) } }
        return nil
    }
}
