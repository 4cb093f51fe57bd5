import BlockReplication
import Foundation
package import LuaHost
import RecoveryEngine
import SiteModel

/// `probe`: asking a guest over HTTP from inside the site where it runs.
enum ProbeMethod {
    static func probe(_ type: String) -> FunctionDeclaration {
        FunctionDeclaration(
            "probe",
            "Makes an HTTP GET from the site where the VM is now, through that site's agent. See health.http for one that waits.",
            named: [
                .required("host", .text, "the guest's address"),
                .optional("port", .integer, "TCP port", default: 80, unit: .ordinal, range: 1...65_535),
                .optional("path", .text, "path of the request", default: "/"),
                .optional("timeout", .duration, "how long to wait for the answer", default: "5s", range: 0.1...600),
            ],
            results: [ResultDeclaration("reply", .record("reply"), "what the guest answered, whatever the status")],
            errors: [
                ErrorDeclaration("no-answer", "the guest did not answer"),
                ErrorDeclaration("unreachable", "the agent of its site does not answer"),
            ],
            effect: .reads, example: "local reply = \(type):probe { host = \"10.77.0.11\", timeout = \"2s\" }",
            .waiting { call in [try await ask(call)] })
    }

    private static func ask(_ call: Call) async throws -> LuaValue {
        let session = call.session
        let host: String
        if call.receiver.type == "vm", try await session.replication(ofVM: call.receiver) == nil {
            host = try await session.locate(call.receiver).host
        } else {
            host = try await session.relationship(of: call.receiver).owner
        }
        let request = try request(call)
        let reply: HTTPProbeResult
        do {
            reply = try await session.engine.hosts.agent(host).probe(request)
        } catch let error as ReplicationError where error.code != .invalidArgument {
            throw LuaError(
                "no-answer", "\(request.host):\(request.port) did not answer: \(error.message)",
                hint: "it may still be starting: health.http waits for it", object: call.receiver, retryable: true)
        }
        return ProbeReply.value(status: reply.status, body: reply.body)
    }

    private static func request(_ call: Call) throws(LuaError) -> HTTPProbe {
        let (host, path) = (call.arguments.text("host"), call.arguments.text("path"))
        let plain = { (text: String) in text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f } }
        guard plain(host), !host.isEmpty, host.utf8.count <= 253, !host.contains("/") else {
            throw LuaError(.argument, "\(call.name): 'host' is no address or host name")
        }
        guard path.hasPrefix("/"), plain(path), path.utf8.count <= 2048 else {
            throw LuaError(
                .argument,
                "\(call.name): 'path' must begin with '/' and hold neither blanks nor control characters")
        }
        return HTTPProbe(
            host: host, port: UInt16(clamping: call.arguments.integer("port")), path: path,
            timeoutSeconds: call.arguments.number("timeout"))
    }
}

/// JSON text as Lua data.
enum JSONText {
    /// The value of a JSON object or array; nil when the text is none.
    static func decode(_ text: String) -> LuaValue? {
        guard let first = text.first(where: { !$0.isWhitespace }), first == "{" || first == "[" else { return nil }
        return (try? JSONDecoder().decode(Node.self, from: Data(text.utf8)))?.value
    }

    private struct Node: Decodable {
        let value: LuaValue

        init(from decoder: any Decoder) throws {
            if let fields = try? decoder.container(keyedBy: Key.self) {
                var table = LuaTable()
                for key in fields.allKeys.sorted(by: { $0.stringValue < $1.stringValue }) {
                    table[key.stringValue] = try fields.decode(Node.self, forKey: key).value
                }
                value = .table(table)
            } else if var list = try? decoder.unkeyedContainer() {
                var values: [LuaValue] = []
                while !list.isAtEnd { values.append(try list.decode(Node.self).value) }
                value = .list(values)
            } else {
                value = try Self.single(decoder.singleValueContainer())
            }
        }

        private static func single(_ container: any SingleValueDecodingContainer) throws -> LuaValue {
            if container.decodeNil() { return .nil }
            if let value = try? container.decode(Bool.self) { return .boolean(value) }
            if let value = try? container.decode(Int64.self) { return .integer(value) }
            if let value = try? container.decode(Double.self) { return .number(value) }
            return LuaValue(try container.decode(String.self))
        }
    }

    private struct Key: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { return nil }
    }
}

/// What `probe` returns.
package enum ProbeReply {
    package static func value(status: Int, body: String) -> LuaValue {
        var table = LuaTable(["status": LuaValue(status), "body": LuaValue(body)])
        if let json = JSONText.decode(body) { table["json"] = json }
        return .table(table)
    }
}
