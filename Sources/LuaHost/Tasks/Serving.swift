internal import Synchronization

/// The host calls within which a Swift task runs, and its child tasks: a call that would wait for its own end is refused.
final class Serving: Sendable {
    @TaskLocal static var innermost: Serving?

    private let shared: CallShared
    private let function: String
    private let outer: Serving?
    private let isOpen = Atomic<Bool>(true)

    private init(_ function: String, _ shared: CallShared, within outer: Serving?) {
        (self.function, self.shared, self.outer) = (function, shared, outer)
    }

    /// Runs the body of a call, or what decides about its error.
    static func during<T: Sendable>(
        _ context: CallContext, _ body: @Sendable () async throws -> T
    ) async rethrows -> T {
        let serving = Serving(context.function, context.shared, within: innermost)
        defer { serving.isOpen.store(false, ordering: .relaxed) }
        return try await $innermost.withValue(serving, operation: body)
    }

    /// The function of the state that the running Swift task is to answer, if it has not yet.
    static func function(of shared: CallShared) -> String? {
        var next = innermost
        while let serving = next {
            if serving.shared === shared, serving.isOpen.load(ordering: .relaxed) { return serving.function }
            next = serving.outer
        }
        return nil
    }
}
