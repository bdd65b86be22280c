"""The checks that every model passes, in the order in which an author meets them."""

from sciml.testing.check import Check
from sciml.testing.checks.construction import (
    builds_from_example,
    configuration_round_trip,
    documented_arguments,
    from_spec,
)
from sciml.testing.checks.numerics import (
    double_precision,
    follows_device,
    gradient_reaches_parameters,
    training_step_lowers_loss,
)
from sciml.testing.checks.output import (
    batch_independence,
    declared_invariances,
    forward_is_quiet,
    forward_keeps_inputs,
    forward_keeps_parameters,
    output_shape,
)
from sciml.testing.checks.repeatable import eval_output_is_repeatable
from sciml.testing.checks.side_effects import (
    check_import_side_effects,
    global_state_is_kept,
    import_side_effects,
)
from sciml.testing.checks.state import (
    deepcopy_is_independent,
    deterministic_under_seed,
    pickle_round_trip,
    safetensors_round_trip,
    state_dict_round_trip,
)

__all__ = ["CHECKS", "check_import_side_effects"]

CHECKS = {
    check.name: check
    for check in map(
        Check,
        [
            documented_arguments,
            builds_from_example,
            import_side_effects,
            global_state_is_kept,
            output_shape,
            from_spec,
            eval_output_is_repeatable,
            batch_independence,
            declared_invariances,
            deterministic_under_seed,
            forward_keeps_inputs,
            forward_keeps_parameters,
            forward_is_quiet,
            gradient_reaches_parameters,
            training_step_lowers_loss,
            double_precision,
            follows_device,
            state_dict_round_trip,
            safetensors_round_trip,
            pickle_round_trip,
            deepcopy_is_independent,
            configuration_round_trip,
        ],
    )
}
