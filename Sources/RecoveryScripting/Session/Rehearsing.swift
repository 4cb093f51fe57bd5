package import LuaHost
import SiteModel

/// Watches the calls of a script that is rehearsed, and stands in for those that a rehearsal must not make.
package protocol Rehearsing: Sendable {
    /// What the call comes to without being made; nil to have it made.
    func answer(_ call: RehearsedCall) async throws -> [LuaValue]?
    /// What the call comes to though it has failed; nil where it has failed.
    func answer(_ call: RehearsedCall, insteadOf error: LuaError) async -> [LuaValue]?
    /// The call is over.
    func ended(_ call: RehearsedCall, _ outcome: Result<[LuaValue], any Error>) async
}

/// One call of a script that waits.
package struct RehearsedCall: Sendable {
    /// Task and ordinal ("0.2#3").
    package var step: String
    /// The function's public name.
    package var function: String
    /// What it is called on; nil for a module's function.
    package var receiver: LuaObject?
    /// What the receiver is called.
    package var name: String?
    /// By name, as the function reads them.
    package var arguments: [String: LuaValue]
    package var position: SourcePosition?
    package var effect: Effect
}

extension Call {
    /// Makes the call, as far as it is not only rehearsed.
    func rehearsing(
        _ effect: Effect, _ body: () async throws -> [LuaValue]
    ) async throws -> [LuaValue] {
        guard let stage = session.options.rehearsing else { return try await body() }
        let call = RehearsedCall(
            step: step?.step ?? "", function: context.function, receiver: arguments.receiver,
            name: arguments.receiver.map(Handle.name), arguments: arguments.given, position: context.where,
            effect: arguments.isLookup ? .reads : effect)
        do {
            let values: [LuaValue]
            if let answer = try await stage.answer(call) { values = answer } else { values = try await body() }
            await stage.ended(call, .success(values))
            return values
        } catch {
            let failure = ErrorConversion.luaError(error, about: arguments.receiver)
            if let values = await stage.answer(call, insteadOf: failure) {
                await stage.ended(call, .success(values))
                return values
            }
            await stage.ended(call, .failure(failure))
            throw error
        }
    }
}
