"""Where stacks are deployed: an emulator of our own, LocalStack, or AWS."""

from holdfast.targets.base import (
    Capability,
    Interceptor,
    PeekedMessage,
    Rule,
    Support,
    Target,
    TracedCall,
    TracedInvocation,
)

__all__ = ["Capability", "Interceptor", "PeekedMessage", "Rule", "Support", "Target", "TracedCall", "TracedInvocation"]
