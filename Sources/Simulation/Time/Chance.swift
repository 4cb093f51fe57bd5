import RecoveryEngine
import Synchronization

/// A small generator of random numbers (SplitMix64): the same seed gives the same numbers everywhere.
package struct SplitMix: RandomNumberGenerator, Hashable, Sendable {
    private var state: UInt64

    package init(seed: UInt64) {
        state = seed
    }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    package mutating func next(below bound: UInt64) -> UInt64 {
        bound == 0 ? 0 : next().multipliedFullWidth(by: bound).high
    }

    /// A number from 0 up to 1.
    package mutating func fraction() -> Double { Double(next() >> 11) / Double(1 << 53) }

    /// A UUID of version 4.
    package mutating func uuid() -> String {
        let (high, low) = (next(), next())
        let first = Self.hexadecimal(high & 0xFFFF_FFFF_FFFF_0FFF | 0x4000)
        let second = Self.hexadecimal(low & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000)
        return [first.prefix(8), first.dropFirst(8).prefix(4), first.suffix(4), second.prefix(4), second.dropFirst(4)]
            .joined(separator: "-")
    }

    private static func hexadecimal(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// A seed that is the text's own: not Swift's hash, which changes from process to process.
    package static func seed(_ text: String, _ seed: UInt64) -> UInt64 {
        text.utf8.reduce(seed ^ 0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
    }
}

/// UUIDs from a seed.
package final class SeededIdentifiers: IdentifierSource {
    private let chance: Mutex<SplitMix>

    package init(seed: UInt64) {
        chance = Mutex(SplitMix(seed: seed))
    }

    package func next() -> String { chance.withLock { $0.uuid() } }
}
