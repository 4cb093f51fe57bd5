/// A response as curl hands it on.
struct HTTPResponse: Sendable {
    var status: Int
    /// By name in small letters.
    var headers: [String: String]
    var body: [UInt8]

    /// Reads the lines that curl received before and after the body; nil when they are no response.
    ///
    /// There may be responses before the one that counts, such as `100 Continue`, and trailers after it.
    init?(head: [UInt8], body: [UInt8]) {
        var status: Int?
        var headers: [String: String] = [:]
        var isOpen = false
        for line in head.split(separator: 0x0a, omittingEmptySubsequences: false) {
            let text = String(decoding: line.last == 0x0d ? line.dropLast() : line, as: UTF8.self)
            if let code = text.prefixMatch(of: /HTTP\/[0-9.]+ +([0-9]{3})(?: |$)/)?.1 {
                status = Int(code)
                headers = [:]
                isOpen = true
            } else if text.isEmpty {
                isOpen = false
            } else if isOpen, let colon = text.firstIndex(of: ":") {
                let name = text[..<colon].lowercased()
                let value = text[text.index(after: colon)...].trimmed
                headers[name] = headers[name].map { "\($0), \(value)" } ?? value
            }
        }
        guard let status else { return nil }
        self.status = status
        self.headers = headers
        self.body = body
    }
}

extension Substring {
    fileprivate var trimmed: String {
        func isSpace(_ letter: Character) -> Bool { letter == " " || letter == "\t" }
        return String(drop(while: isSpace).reversed().drop(while: isSpace).reversed())
    }
}
