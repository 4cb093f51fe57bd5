import Foundation
import SiteModel

/// Which method of the agent answers which call.
struct AgentDispatch: Sendable {
    typealias Handler =
        @Sendable (Data, @escaping @Sendable (TransferProgress) -> Void) async throws ->
        @Sendable (UInt64) throws -> Data

    private let handlers: [String: Handler]

    init(_ agent: any Agent) {
        var table: [String: Handler] = [:]
        func on<Body, Answer>(
            _ call: AgentCall<Body, Answer>,
            _ body: @escaping @Sendable (Body, @escaping @Sendable (TransferProgress) -> Void) async throws -> Answer
        ) {
            table[call.name] = { message, progress in
                let request = try Self.decode(ControlRequest<Body>.self, message)
                let answer = try await body(request.body, progress)
                return { id in
                    try JSONEncoder().encode(
                        ControlResponse(id: id, result: Answered(value: answer)))
                }
            }
        }
        on(AgentCalls.status) { _, _ in try await agent.status() }
        on(AgentCalls.recordOwnership) { body, _ in
            try await agent.recordOwnership(body)
            return Nothing()
        }
        on(AgentCalls.ownership) { body, _ in try await agent.ownership(relationship: body) }
        on(AgentCalls.standings) { _, _ in try await agent.standings() }
        on(AgentCalls.forgetOwnership) { body, _ in
            try await agent.forgetOwnership(relationship: body)
            return Nothing()
        }
        on(AgentCalls.attend) { body, _ in
            try await agent.attend(body)
            return Nothing()
        }
        on(AgentCalls.keepVault) { body, _ in
            try await agent.keepVault(body)
            return Nothing()
        }
        on(AgentCalls.openPoint) { body, _ in try await agent.openPoint(body) }
        on(AgentCalls.sealPoint) { body, _ in try await agent.sealPoint(body) }
        on(AgentCalls.endLeg) { body, _ in
            try await agent.endLeg(body)
            return Nothing()
        }
        on(AgentCalls.abandonPoint) { body, _ in
            try await agent.abandonPoint(relationship: body.relationship, generation: body.generation)
            return Nothing()
        }
        on(AgentCalls.points) { body, _ in try await agent.points(relationship: body) }
        on(AgentCalls.keepPoints) { body, _ in
            try await agent.keepPoints(relationship: body.relationship, keeping: body.keeping, pinned: body.pinned)
        }
        on(AgentCalls.dropPoints) { body, _ in
            try await agent.dropPoints(relationship: body.relationship, allBut: body.generation)
            return Nothing()
        }
        on(AgentCalls.checkPoints) { body, progress in try await agent.checkPoints(body, progress: progress) }
        on(AgentCalls.divergence) { body, _ in try await agent.divergence(body) }
        on(AgentCalls.domainXML) { body, _ in
            try await agent.domainXML(relationship: body.relationship, generation: body.generation)
        }
        on(AgentCalls.forget) { body, _ in
            try await agent.forget(relationship: body)
            return Nothing()
        }
        on(AgentCalls.openExport) { body, _ in try await agent.openExport(body) }
        on(AgentCalls.importPoint) { body, _ in try await agent.importPoint(body) }
        on(AgentCalls.createBootImages) { body, _ in
            try await agent.createBootImages(
                relationship: body.relationship, generation: body.generation, epoch: body.epoch)
        }
        on(AgentCalls.discardBootImages) { body, _ in
            try await agent.discardBootImages(relationship: body.relationship, epoch: body.epoch)
            return Nothing()
        }
        on(AgentCalls.firmware) { body, _ in try await agent.firmware(body) }
        on(AgentCalls.placeFirmware) { body, _ in try await agent.placeFirmware(body) }
        on(AgentCalls.writeSeed) { body, _ in try await agent.writeSeed(body) }
        on(AgentCalls.adoptDisks) { body, _ in
            try await agent.adoptDisks(relationship: body.relationship, vm: body.vm, disks: body.disks)
            return Nothing()
        }
        on(AgentCalls.settleDisks) { body, _ in
            try await agent.settleDisks(relationship: body.relationship, disks: body.disks)
            return Nothing()
        }
        on(AgentCalls.sendPoint) { body, progress in try await agent.sendPoint(body, progress: progress) }
        on(AgentCalls.changedExtents) { body, _ in
            try await agent.changedExtents(image: body.image, bitmap: body.bitmap)
        }
        on(AgentCalls.extentsNewer) { body, _ in
            try await agent.extentsNewer(relationship: body.relationship, than: body.generation)
        }
        on(AgentCalls.probe) { body, _ in try await agent.probe(body) }
        on(AgentCalls.check) { body, _ in try await agent.check(body) }
        handlers = table
    }

    /// Answers one message; the result is the response's bytes once it is given the request's number.
    func answer(
        call: String, message: Data, progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> @Sendable (UInt64) throws -> Data {
        guard let handler = handlers[call] else {
            throw ReplicationError(
                .unsupported, "this agent knows no call '\(call.prefix(64))'",
                hint: "run the same version of perilune in the engine and at the host")
        }
        return try await handler(message, progress)
    }

    static func decode<Value: Decodable>(_ type: Value.Type, _ message: Data) throws -> Value {
        do { return try JSONDecoder().decode(type, from: message) } catch {
            throw ReplicationError(
                .protocolViolation, "a control message cannot be read",
                hint: "run the same version of perilune in the engine and at the host", cause: error)
        }
    }
}
