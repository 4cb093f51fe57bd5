import BlockReplication
import Foundation
import SiteModel

/// One JSON object of an endpoints file, read field by field; every mistake names the place and what is allowed.
struct EndpointFields {
    var place: String
    private let fields: [String: JSONNode]

    init(_ node: JSONNode, place: String, allowed: [String]) throws {
        guard case .object(let fields) = node else {
            throw EngineError(
                .invalid, "\(place): \(node) is no object", hint: "see examples/endpoints.json")
        }
        self.place = place
        self.fields = fields
        for key in fields.keys.sorted() where !allowed.contains(key) {
            let nearest = Nearest.suggestion(for: key, among: allowed).map { "did you mean '\($0)'? " } ?? ""
            throw EngineError(
                .invalid, "\(place): there is no field '\(key.prefix(40))'",
                hint: "\(nearest)allowed are: \(allowed.joined(separator: ", "))")
        }
    }

    private func wrong(_ name: String, _ wanted: String) -> EngineError {
        EngineError(
            .invalid, "\(place): \"\(name)\" is \(fields[name].map { "\($0)" } ?? "missing")",
            hint: "it must be \(wanted)")
    }

    func text(_ name: String) throws -> String? {
        guard let value = fields[name] else { return nil }
        guard case .text(let text) = value, !text.isEmpty, text.count <= 1000 else { throw wrong(name, "text") }
        return text
    }

    func requiredText(_ name: String) throws -> String {
        guard let text = try text(name) else { throw wrong(name, "text, and is needed") }
        return text
    }

    func truth(_ name: String) throws -> Bool? {
        guard let value = fields[name] else { return nil }
        guard case .truth(let truth) = value else { throw wrong(name, "true or false") }
        return truth
    }

    /// A number in a range; whole where the range's ends are large.
    func number(_ name: String, _ range: ClosedRange<Double>) throws -> Double? {
        guard let value = fields[name] else { return nil }
        guard case .number(let number) = value, range.contains(number),
            range.upperBound < 100 || number == number.rounded()
        else {
            throw wrong(name, "a number from \(String(format: "%g to %g", range.lowerBound, range.upperBound))")
        }
        return number
    }

    func list(_ name: String, optional: Bool = false) throws -> [JSONNode] {
        guard let value = fields[name] else {
            if optional { return [] }
            throw wrong(name, "a list, and is needed")
        }
        guard case .list(let list) = value, optional || !list.isEmpty else {
            throw wrong(name, "a list with something in it")
        }
        return list
    }

    /// "host:port" of a proxy; "direct" takes an outer one away.
    func proxy(_ name: String, else outer: EndpointProbe.Proxy?) throws -> EndpointProbe.Proxy? {
        guard let text = try text(name) else { return outer }
        if text == "direct" { return nil }
        let plain = text.hasPrefix("http://") ? String(text.dropFirst(7)) : text
        let address = plain.hasSuffix("/") ? String(plain.dropLast()) : plain
        guard let colon = address.lastIndex(of: ":"), let port = UInt16(address[address.index(after: colon)...]),
            port > 0
        else { throw wrong(name, "\"host:port\" of an HTTP proxy, or \"direct\"") }
        let host = address[..<colon].trimmingCharacters(in: ["[", "]"])
        guard EndpointNames.isHost(host) else { throw wrong(name, "\"host:port\" of an HTTP proxy, or \"direct\"") }
        return EndpointProbe.Proxy(host: host, port: port)
    }
}
