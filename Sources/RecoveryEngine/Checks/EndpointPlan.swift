package import BlockReplication
package import Foundation

/// Named groups of endpoints that must be reachable, read from a file.
///
/// See examples/endpoints.json; unknown fields are refused, so that a slip is not a check left out.
package struct EndpointPlan: Hashable, Sendable {
    package struct Group: Hashable, Sendable {
        package var name: String
        package var purpose: String
        package var endpoints: [Endpoint]
        /// Ranges that every address must lie in; empty when any will do.
        package var ranges: [AddressRange]
    }

    package struct Endpoint: Hashable, Sendable {
        package var probe: EndpointProbe

        /// "host:port", with the proxy where there is one.
        package var label: String {
            let name = probe.host.contains(":") ? "[\(probe.host)]:\(probe.port)" : "\(probe.host):\(probe.port)"
            return probe.proxy.map { "\(name) by \($0.host):\($0.port)" } ?? name
        }
    }

    package var groups: [Group]

    /// Endpoints in all groups together.
    package static let limit = 1000
    private static let sizeLimit = 1 << 20

    /// Reads a file.
    ///
    /// - Throws: `EngineError` of kind `invalid` or `unknown`, naming group, field, what was given and what is allowed.
    package init(contentsOf path: String) throws {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw EngineError(.unknown, "the endpoints file \(path) cannot be read", hint: "check the path")
        }
        try self.init(json: data, folder: URL(filePath: path).deletingLastPathComponent().path, name: path)
    }

    /// Reads the text of a file; `folder` is where files that it names are looked for.
    package init(json data: Data, folder: String, name: String = "the endpoints file") throws {
        guard data.count <= Self.sizeLimit else {
            throw EngineError(.invalid, "\(name) is larger than 1 MiB", hint: "split it")
        }
        guard let node = try? JSONDecoder().decode(JSONNode.self, from: data) else {
            throw EngineError(.invalid, "\(name) is no JSON", hint: "see examples/endpoints.json")
        }
        let file = try EndpointFields(node, place: name, allowed: ["groups", "proxy", "ca", "timeout_seconds"])
        let defaults = try Defaults(file, folder: folder)
        var names: Set<String> = []
        groups = try file.list("groups").map { entry in
            let group = try Self.group(entry, defaults, folder: folder)
            guard names.insert(group.name).inserted else {
                throw EngineError(
                    .invalid, "\(name): two groups are called '\(group.name)'", hint: "rename one of them")
            }
            return group
        }
        guard groups.reduce(0, { $0 + $1.endpoints.count }) <= Self.limit else {
            throw EngineError(.invalid, "\(name) has more than \(Self.limit) endpoints", hint: "split it")
        }
    }

    /// What holds for a group, or the whole file, where an endpoint does not say it.
    private struct Defaults {
        var proxy: EndpointProbe.Proxy?
        var authorities: String?
        var seconds = 5.0

        init(_ fields: EndpointFields, folder: String, over outer: Defaults? = nil) throws {
            proxy = try fields.proxy("proxy", else: outer?.proxy)
            seconds = try fields.number("timeout_seconds", 0.1...EndpointProbe.longest) ?? outer?.seconds ?? 5
            authorities = outer?.authorities
            guard let file = try fields.text("ca") else { return }
            let path = file.hasPrefix("/") ? file : "\(folder)/\(file)"
            guard let data = FileManager.default.contents(atPath: path), data.count <= EndpointProbe.authoritiesLimit
            else {
                throw EngineError(
                    .invalid, "\(fields.place): \"ca\" names \(path), which cannot be read or is too long",
                    hint: "name a file of PEM certificates, at most 256 KiB")
            }
            authorities = String(decoding: data, as: UTF8.self)
        }
    }

    private static func group(_ node: JSONNode, _ outer: Defaults, folder: String) throws -> Group {
        let allowed = ["name", "purpose", "endpoints", "ranges", "proxy", "ca", "timeout_seconds"]
        var fields = try EndpointFields(node, place: "a group", allowed: allowed)
        let name = try fields.requiredText("name")
        fields.place = "group '\(name)'"
        let defaults = try Defaults(fields, folder: folder, over: outer)
        let ranges = try fields.list("ranges", optional: true).map { entry in
            guard case .text(let text) = entry, let range = AddressRange(text) else {
                throw EngineError(
                    .invalid, "group '\(name)': \(entry) is no range of addresses",
                    hint: "write 192.0.2.0/24, 2001:db8::/32 or one address; no bits may be set behind the length")
            }
            return range
        }
        let endpoints = try fields.list("endpoints").map { try endpoint($0, group: name, defaults, folder: folder) }
        return Group(
            name: name, purpose: try fields.text("purpose") ?? "", endpoints: endpoints, ranges: ranges)
    }

    private static func endpoint(_ node: JSONNode, group: String, _ outer: Defaults, folder: String) throws -> Endpoint
    {
        let place = "an endpoint of group '\(group)'"
        let allowed = ["host", "port", "tls", "proxy", "ca", "timeout_seconds"]
        let fields = try EndpointFields(
            isText(node) ? .object(["host": node]) : node, place: place, allowed: allowed)
        let host = try fields.requiredText("host")
        guard EndpointNames.isHost(host) else {
            throw EngineError(
                .invalid, "\(place): '\(host.prefix(80))' is no host name or address",
                hint: host.contains("*")
                    ? "a pattern stands for no address: name hosts that it stands for"
                    : "write the name or the number alone")
        }
        let defaults = try Defaults(fields, folder: folder, over: outer)
        let port = try fields.number("port", 1...65_535) ?? 443
        return Endpoint(
            probe: EndpointProbe(
                host: host, port: UInt16(port), service: try fields.truth("tls") ?? true ? .tls : .tcp,
                proxy: defaults.proxy, authorities: defaults.authorities, timeoutSeconds: defaults.seconds))
    }

    /// An endpoint may be its host's name alone.
    private static func isText(_ node: JSONNode) -> Bool { if case .text = node { true } else { false } }
}
