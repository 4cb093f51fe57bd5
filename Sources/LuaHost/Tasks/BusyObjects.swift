/// Which objects of exclusive types a method serves now, and what called it.
struct BusyObjects {
    private var calls: [LuaObject: CallContext] = [:]
    private var objects: [DeliveryID: LuaObject] = [:]

    /// Why a method of the object cannot be called now; nil when it can.
    func refusal(of function: String, on object: LuaObject) -> LuaError? {
        guard let call = calls[object] else { return nil }
        let place = call.where.map { " (\($0))" } ?? ""
        return LuaError(
            .busy, "\(function): \(object.type)<\(object.id)> is busy with \(call.function)\(place)",
            hint: "wait for that call before this one, or use the \(object.type) in one task only",
            object: object, retryable: true)
    }

    mutating func begin(_ context: CallContext, on object: LuaObject) {
        calls[object] = context
        objects[DeliveryID(context)] = object
    }

    /// The wait is over.
    mutating func end(_ wait: DeliveryID) {
        guard !objects.isEmpty, let object = objects.removeValue(forKey: wait) else { return }
        calls[object] = nil
    }

    mutating func reset() { self = BusyObjects() }
}
