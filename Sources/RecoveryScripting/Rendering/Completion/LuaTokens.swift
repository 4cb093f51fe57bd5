/// The words of a piece of Lua that somebody is still typing.
///
/// It forgives everything: what is no Lua becomes symbols, and what is open at the end says so.
struct LuaTokens {
    struct Token: Equatable {
        enum Kind: Equatable {
            case name
            case number
            case text
            case symbol
        }

        let kind: Kind
        /// The name or symbol; of text what stands between the quotes, as it is written.
        let text: String
        /// Where it ends in the bytes that were read.
        let end: Int
    }

    /// What the piece ends in the middle of.
    enum Ending: Equatable {
        case nothing
        case comment
        /// A text that began with this quote, and what has been typed of it.
        case text(quote: String, typed: String)
    }

    private(set) var all: [Token] = []
    private(set) var ending = Ending.nothing
    private let bytes: [UInt8]
    private var at = 0

    init(_ piece: String) {
        bytes = Array(piece.utf8)
        while at < bytes.count { readOne() }
    }

    /// The name that the piece ends with, which may be half of one; empty when it ends with something else.
    var typedName: String {
        guard let last = all.last, last.kind == .name, last.end == bytes.count else { return "" }
        return last.text
    }

    /// Whether a new line has begun since the last token.
    var isAtNewLine: Bool { bytes[(all.last?.end ?? 0)...].contains(0x0a) }

    private mutating func readOne() {
        let byte = bytes[at]
        if byte == 0x20 || (0x09...0x0d).contains(byte) {
            at += 1
        } else if byte == Self.dash, peek(1) == Self.dash {
            readComment()
        } else if byte == Self.bracket, let level = longBracket(at) {
            readLong(level, isComment: false)
        } else if byte == 0x22 || byte == 0x27 {
            readText(byte)
        } else if Self.isLetter(byte) {
            read(.name) { Self.isLetter($0) || Self.isDigit($0) }
        } else if Self.isDigit(byte) {
            read(.number) { Self.isLetter($0) || Self.isDigit($0) || $0 == Self.dot }
        } else {
            readSymbol()
        }
    }

    private mutating func read(_ kind: Token.Kind, while belongs: (UInt8) -> Bool) {
        let start = at
        while at < bytes.count, belongs(bytes[at]) { at += 1 }
        append(kind, start..<at)
    }

    private mutating func readSymbol() {
        let start = at
        for symbol in ["...", "..", "::", "==", "~=", "<=", ">=", "//", "<<", ">>"] {
            guard bytes[at...].starts(with: symbol.utf8) else { continue }
            at += symbol.utf8.count
            return append(.symbol, start..<at)
        }
        at += 1
        append(.symbol, start..<at)
    }

    private mutating func readText(_ quote: UInt8) {
        let start = at + 1
        at = start
        while at < bytes.count, bytes[at] != quote, bytes[at] != 0x0a { at += bytes[at] == 0x5c ? 2 : 1 }
        at = min(at, bytes.count)
        guard at < bytes.count else {
            ending = .text(
                quote: String(decoding: [quote], as: UTF8.self),
                typed: String(decoding: bytes[start...], as: UTF8.self))
            return
        }
        append(.text, start..<at)
        all[all.count - 1] = Token(kind: .text, text: all[all.count - 1].text, end: at + 1)
        at += 1
    }

    private mutating func readComment() {
        if peek(2) == Self.bracket, let level = longBracket(at + 2) {
            at += 2
            return readLong(level, isComment: true)
        }
        while at < bytes.count, bytes[at] != 0x0a { at += 1 }
        if at == bytes.count { ending = .comment }
    }

    /// How many `=` stand in the opening bracket of a long text; nil when none begins there.
    private func longBracket(_ index: Int) -> Int? {
        var next = index + 1
        while next < bytes.count, bytes[next] == 0x3d { next += 1 }
        return next < bytes.count && bytes[next] == Self.bracket ? next - index - 1 : nil
    }

    private mutating func readLong(_ level: Int, isComment: Bool) {
        let closing = [0x5d] + [UInt8](repeating: 0x3d, count: level) + [0x5d]
        let start = at + level + 2
        at = start
        while at < bytes.count, !bytes[at...].starts(with: closing) { at += 1 }
        guard at < bytes.count else {
            ending = isComment ? .comment : .text(quote: "", typed: "")
            return
        }
        if !isComment { append(.text, start..<at) }
        at += closing.count
    }

    private mutating func append(_ kind: Token.Kind, _ range: Range<Int>) {
        all.append(Token(kind: kind, text: String(decoding: bytes[range], as: UTF8.self), end: range.upperBound))
    }

    private func peek(_ distance: Int) -> UInt8? { at + distance < bytes.count ? bytes[at + distance] : nil }

    private static let dash: UInt8 = 0x2d
    private static let dot: UInt8 = 0x2e
    private static let bracket: UInt8 = 0x5b

    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
    private static func isLetter(_ byte: UInt8) -> Bool {
        (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte) || byte == 0x5f
    }
}
