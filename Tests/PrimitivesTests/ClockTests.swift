// Time that tests can move.
import Foundation
import Primitives
import Testing

@Suite("Clock")
struct ClockTests {
    @Test("a manual clock moves only when told to")
    func manualClock() {
        let clock = ManualClock()
        let anyClock: any Primitives.Clock = clock
        #expect(anyClock.now() == Date(timeIntervalSince1970: 1_767_225_600))
        #expect(anyClock.now() == anyClock.now())
        clock.advance(bySeconds: 1.5)
        #expect(anyClock.now().timeIntervalSince1970 == 1_767_225_601.5)
        clock.set(Date(timeIntervalSince1970: 0))
        #expect(anyClock.now().timeIntervalSince1970 == 0)
    }

    @Test("the system clock shows the present")
    func systemClock() {
        let before = Date()
        let now = SystemClock().now()
        #expect(before <= now && now <= Date())
    }
}
