import Glibc

/// The first frame of a sender: version, ticket and disk.
///
/// Its payload is version (2, big-endian), token (32), then relationship, generation and disk, each a length (2) and
/// UTF-8.
struct WireHello: Equatable, Sendable {
    static let version: UInt16 = 1
    static let tokenSize = 32
    private static let longestName = 512

    var version = WireHello.version
    var token: [UInt8]
    var relationship: String
    var generation: String
    var disk: String

    /// The payload of the frame.
    func encoded() -> [UInt8] {
        var bytes = [UInt8(version >> 8), UInt8(version & 0xFF)] + token
        for name in [relationship, generation, disk] {
            let utf8 = Array(name.utf8)
            bytes += [UInt8(utf8.count >> 8), UInt8(utf8.count & 0xFF)] + utf8
        }
        return bytes
    }

    init(token: [UInt8], relationship: String, generation: String, disk: String) {
        self.token = token
        self.relationship = relationship
        self.generation = generation
        self.disk = disk
    }

    /// Reads the payload of a peer's hello.
    init(_ payload: UnsafeRawBufferPointer) throws {
        var rest = payload[...]
        func take(_ count: Int) throws -> [UInt8] {
            guard rest.count >= count else { throw ReplicationError.malformed("a hello is too short") }
            defer { rest = rest.dropFirst(count) }
            return Array(rest.prefix(count))
        }
        func number() throws -> UInt16 {
            let bytes = try take(2)
            return UInt16(bytes[0]) << 8 | UInt16(bytes[1])
        }
        func name() throws -> String {
            let count = Int(try number())
            guard count <= Self.longestName, let text = String(validating: try take(count), as: UTF8.self) else {
                throw ReplicationError.malformed("a hello holds a name that cannot be read")
            }
            return text
        }
        version = try number()
        guard version == Self.version else {
            throw ReplicationError(
                .protocolViolation,
                "the other agent speaks version \(version) of the protocol, this one \(Self.version)",
                hint: "run the same version of perilune at both sites")
        }
        token = try take(Self.tokenSize)
        relationship = try name()
        generation = try name()
        disk = try name()
        guard rest.isEmpty else { throw ReplicationError.malformed("a hello is longer than its content") }
    }
}

/// What a receiver can do beyond the protocol's first version: the offset of its welcome frame.
///
/// A receiver of an older version leaves it 0 and is asked for nothing; an older sender does not look at it.
struct WireWelcome: OptionSet, Sendable {
    let rawValue: UInt64

    /// It has a newest state of the disk and answers questions for the hashes of blocks.
    static let answersBlocks = WireWelcome(rawValue: 1)
    /// It takes compressed content.
    static let unpacks = WireWelcome(rawValue: 2)
}

/// Compares secrets in a time that does not tell where they differ.
func equalInConstantTime(_ a: [UInt8], _ b: [UInt8]) -> Bool {
    guard a.count == b.count else { return false }
    var difference: UInt8 = 0
    for index in a.indices { difference |= a[index] ^ b[index] }
    return difference == 0
}

/// Bytes as lower-case hexadecimal digits, and back.
enum Hexadecimal {
    static func encode(_ bytes: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    static func decode(_ text: String) -> [UInt8]? {
        let digits = Array(text.utf8)
        guard digits.count.isMultiple(of: 2) else { return nil }
        var bytes: [UInt8] = []
        for index in stride(from: 0, to: digits.count, by: 2) {
            guard let high = value(digits[index]), let low = value(digits[index + 1]) else { return nil }
            bytes.append(high << 4 | low)
        }
        return bytes
    }

    private static func value(_ digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
        default: nil
        }
    }
}

/// Random bytes from the operating system.
func randomBytes(_ count: Int) -> [UInt8] {
    var generator = SystemRandomNumberGenerator()
    return (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
}
