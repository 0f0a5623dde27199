"""A Chromium without scripts that is worked by keyboard alone, and read as a screen reader would: by roles and names."""
import time

from harness.server import POLL_SECONDS

TAB_STOPS_MAX = 200
LOAD_SECONDS_MAX = 30
KEYS = {"Tab": 9, "Enter": 13, "Space": 32, "ArrowDown": 40}


class Keyboard:
    """Presses keys and listens. `driver` is a selenium Chrome whose page scripts are off."""

    def __init__(self, driver):
        self.driver = driver

    def cdp(self, method, **parameters):
        return self.driver.execute_cdp_cmd(method, parameters)

    def press(self, key, shift=False):
        text = {"Enter": "\r", "Space": " "}.get(key)
        event = {"key": " " if key == "Space" else key, "code": key, "windowsVirtualKeyCode": KEYS[key], "modifiers": 8 if shift else 0}
        self.cdp("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **event, **({"text": text} if text else {}))
        self.cdp("Input.dispatchKeyEvent", type="keyUp", **event)

    def write(self, text):
        """Types into what has the focus, after selecting what is there already (Ctrl+A)."""
        select_all = {"key": "a", "code": "KeyA", "windowsVirtualKeyCode": 65, "modifiers": 2, "commands": ["selectAll"]}
        self.cdp("Input.dispatchKeyEvent", type="rawKeyDown", **select_all)
        self.cdp("Input.dispatchKeyEvent", type="keyUp", **select_all)
        self.cdp("Input.insertText", text=text)

    def tree(self):
        """What a screen reader is given: (role, name, states) of every node that is not ignored, in reading order."""
        nodes = self.cdp("Accessibility.getFullAXTree")["nodes"]
        return [Node(node) for node in nodes if not node.get("ignored")]

    def focused(self):
        return next((node for node in self.tree() if node.states.get("focused") and node.role != "RootWebArea"), None)

    def text(self):
        """All text of the page, as it is read out."""
        return "\n".join(node.name for node in self.tree() if node.role in ("StaticText", "heading", "link", "button", "cell"))

    def reach(self, role, name=None, nth=0, about=None):
        """Tabs to the nth control of that role whose name contains `name` (and its description `about`); fails when Tab never gets there."""
        seen = []
        for _ in range(TAB_STOPS_MAX):
            self.press("Tab")
            node = self.focused()
            if node is None:
                continue
            if seen and node.identity == seen[0].identity:
                break
            seen.append(node)
            if node.role in (role if isinstance(role, tuple) else (role,)) and (name is None or name in node.name) \
                    and (about is None or about in node.description):
                if nth == 0:
                    return node
                nth -= 1
        raise AssertionError(f"Tab never reaches {role} {name!r}; it reaches: " + "; ".join(f"{n.role} {n.name!r}" for n in seen))

    def fill(self, name, text, role=("textbox", "searchbox", "spinbutton")):
        self.reach(role, name)
        self.write(text)

    def tick(self, name, role=("checkbox", "switch", "radio"), nth=0):
        node = self.reach(role, name, nth)
        if node.states.get("checked") not in (True, "true"):
            self.press("Space")

    def pick(self, name, role="radio"):
        """Chooses one of a group of radio buttons: Tab to the group, Space, and arrows until `name` has the focus. None: the first."""
        groups = self.groups(role)
        for _ in range(TAB_STOPS_MAX):
            self.press("Tab")
            node = self.focused()
            if node is not None and node.role == role and (name is None or any(name in n for _, n in groups.get(node.identity, []))):
                break
        else:
            raise AssertionError(f"Tab never reaches the group of {name!r}")
        self.press("Space")
        for _ in range(TAB_STOPS_MAX):
            if name is None or name in self.focused().name:
                return
            self.press("ArrowDown")
        raise AssertionError(f"the arrows never reach {name!r}")

    def groups(self, role):
        """Identity of each radio button → (identity, name) of all in its group."""
        nodes = {n["nodeId"]: n for n in self.cdp("Accessibility.getFullAXTree")["nodes"]}

        def group_of(node):
            while node is not None and node.get("role", {}).get("value") not in ("group", "radiogroup"):
                node = nodes.get(node.get("parentId"))
            return node and node["nodeId"]

        members = {}
        for node in nodes.values():
            if node.get("role", {}).get("value") == role:
                members.setdefault(group_of(node), []).append((node["backendDOMNodeId"], node.get("name", {}).get("value", "")))
        return {identity: group for group in members.values() for identity, _ in group}

    def activate(self, name, role=("button", "link"), nth=0, about=None):
        """Enter on a button or link, and waits for the page that follows."""
        self.reach(role, name, nth, about)
        self.follow(lambda: self.press("Enter"))

    def follow(self, act):
        """Does what leads to another document, and waits until that one is loaded."""
        before = self.document()
        act()
        deadline = time.monotonic() + LOAD_SECONDS_MAX
        while self.document() == before or not self.is_loaded():
            assert time.monotonic() < deadline, f"no page followed from {self.driver.current_url}"
            time.sleep(POLL_SECONDS)

    def document(self):
        return self.cdp("Page.getFrameTree")["frameTree"]["frame"]["loaderId"]

    def is_loaded(self):
        """The root of the tree is there and not busy."""
        nodes = self.cdp("Accessibility.getFullAXTree")["nodes"]
        return bool(nodes) and not any(p["name"] == "busy" and p["value"].get("value") for p in nodes[0].get("properties", []))

    def open(self, url):
        self.follow(lambda: self.driver.get(url))


class Node:
    def __init__(self, node):
        self.identity = node.get("backendDOMNodeId")
        self.role = node.get("role", {}).get("value", "")
        self.name = node.get("name", {}).get("value", "")
        self.description = node.get("description", {}).get("value", "")
        self.states = {p["name"]: p["value"].get("value") for p in node.get("properties", [])}
