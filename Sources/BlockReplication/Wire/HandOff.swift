import Foundation

/// A queue from one thread to another.
///
/// It has no bound of its own: what goes through it holds pool buffers, and those are bounded.
final class HandOff<Element: Sendable>: @unchecked Sendable {  // everything is guarded by `condition`
    private let condition = NSCondition()
    private var elements: [Element] = []
    private var head = 0
    private var finished = false

    init(_ interrupt: Interrupt) {
        interrupt.onTrigger { [weak self] in self?.wake() }
    }

    func put(_ element: Element) {
        condition.lock()
        elements.append(element)
        condition.signal()
        condition.unlock()
    }

    /// No element comes after this.
    func finish() {
        condition.lock()
        finished = true
        condition.broadcast()
        condition.unlock()
    }

    /// The next element, waiting for it; nil after the last.
    ///
    /// Throws the interrupt's reason.
    func next(_ interrupt: Interrupt) throws -> Element? {
        condition.lock()
        defer { condition.unlock() }
        while true {
            try interrupt.check()
            if head < elements.count {
                defer {
                    head += 1
                    // The array is emptied when it runs dry, so it never grows beyond the buffers in flight.
                    if head == elements.count {
                        elements.removeAll(keepingCapacity: true)
                        head = 0
                    }
                }
                return elements[head]
            }
            if finished { return nil }
            condition.wait()
        }
    }

    private func wake() {
        condition.lock()
        condition.broadcast()
        condition.unlock()
    }
}
