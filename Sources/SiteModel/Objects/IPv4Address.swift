/// An IPv4 address.
package struct IPv4Address: Hashable, Comparable, Sendable, CustomStringConvertible {
    package var value: UInt32

    package init(value: UInt32) { self.value = value }

    /// Reads dotted decimal; nil for anything else, leading zeros included (some tools read those as octal).
    package init?(_ text: String) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var value: UInt32 = 0
        for part in parts {
            guard let number = UInt8(part), "\(number)" == part else { return nil }
            value = value << 8 | UInt32(number)
        }
        self.value = value
    }

    package static func < (a: IPv4Address, b: IPv4Address) -> Bool { a.value < b.value }

    package var description: String {
        [24, 16, 8, 0].map { "\(value >> UInt32($0) & 0xff)" }.joined(separator: ".")
    }
}

/// A block of IPv4 addresses, as in "10.0.8.0/24".
package struct IPv4Block: Hashable, Sendable, CustomStringConvertible {
    package let base: IPv4Address
    /// Length of the prefix, 1 to 30: smaller blocks have no room for hosts.
    package let prefix: Int

    /// Reads "address/prefix"; nil for anything else, and when bits beside the prefix are set.
    package init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, let base = IPv4Address(parts[0]), let prefix = Int(parts[1]), "\(prefix)" == parts[1],
            (1...30).contains(prefix)
        else { return nil }
        guard base.value & ~Self.mask(prefix) == 0 else { return nil }
        self.base = base
        self.prefix = prefix
    }

    private static func mask(_ prefix: Int) -> UInt32 { ~UInt32(0) << UInt32(32 - prefix) }

    /// The mask, as in "255.255.255.0".
    package var mask: IPv4Address { IPv4Address(value: Self.mask(prefix)) }

    package var broadcast: IPv4Address { IPv4Address(value: base.value | ~Self.mask(prefix)) }

    /// Whether an address is of this block and can be a host's.
    package func containsHost(_ address: IPv4Address) -> Bool { base < address && address < broadcast }

    package func overlaps(_ other: IPv4Block) -> Bool { base <= other.broadcast && other.base <= broadcast }

    package var description: String { "\(base)/\(prefix)" }
}

extension IPv4Address: Codable {
    package init(from decoder: any Decoder) throws {
        self = try decoded(IPv4Address.init, decoder, "address")
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

extension IPv4Block: Codable {
    package init(from decoder: any Decoder) throws {
        self = try decoded(IPv4Block.init, decoder, "block of addresses")
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// Reads a value that is kept as its text.
private func decoded<Value>(_ read: (String) -> Value?, _ decoder: any Decoder, _ what: String) throws -> Value {
    let text = try decoder.singleValueContainer().decode(String.self)
    guard let value = read(text) else {
        throw DecodingError.dataCorrupted(
            .init(codingPath: decoder.codingPath, debugDescription: "\(text) is no IPv4 \(what)"))
    }
    return value
}
